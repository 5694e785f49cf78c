// The form that sends a line to the node as a client would, and shows the reply byte by byte.

import { count, element, fromBytes } from "./text.js";

const marks = { "\n": "↵", "\r": "\\r", "\t": "→" };

// spelled returns nodes for a reply, in which white space can be seen.
function spelled(text) {
  const parts = [];
  for (const part of text.split(/([ \n\r\t]+)/)) {
    if (!/^[ \n\r\t]+$/.test(part)) {
      if (part !== "") parts.push(part);
      continue;
    }
    const shown = part.replace(/[ \n\r\t]/g, (c) => (c === " " ? "·" : marks[c] + (c === "\n" ? "\n" : "")));
    parts.push(element("span", "blank", shown));
  }
  return parts;
}

export class Speak {
  #form;
  #reply;
  #line;
  #note;

  constructor(root, whereNow) {
    this.#form = root.querySelector("form");
    this.#reply = root.querySelector("pre");
    this.#line = root.querySelector("output");
    this.#note = root.querySelector(".note");
    const f = this.#form.elements;
    this.#form.addEventListener("input", () => this.#compose());
    this.#form.addEventListener("submit", (e) => {
      e.preventDefault();
      this.#send();
    });
    f.here.addEventListener("click", () => {
      const [lat, lon] = whereNow();
      const degrees = (v, digits) => (v < 0 ? "-" : "+") + Math.abs(v).toFixed(6).padStart(digits + 7, "0");
      f.position.value = degrees(lat, 2) + degrees(lon, 3);
      this.#compose();
    });
    this.#compose();
  }

  get line() {
    const f = this.#form.elements;
    if (f.command.value === "IAMAT") return `IAMAT ${f.client.value} ${f.position.value} ${f.time.value || (Date.now() / 1000).toFixed(3)}`;
    return `WHATSAT ${f.client.value} ${f.radius.value} ${f.bound.value}`;
  }

  #compose() {
    const isReport = this.#form.elements.command.value === "IAMAT";
    for (const e of this.#form.querySelectorAll(".iamat")) e.hidden = !isReport;
    for (const e of this.#form.querySelectorAll(".whatsat")) e.hidden = isReport;
    this.#line.textContent = isReport && !this.#form.elements.time.value ? this.line.replace(/ [^ ]*$/, " (now)") : this.line;
  }

  async #send() {
    const line = this.line;
    this.#form.elements.send.disabled = true;
    this.#note.textContent = "waiting for the reply";
    const began = performance.now();
    try {
      const answer = await fetch("api/v1/reports", { method: "POST", headers: { "Content-Type": "text/plain" }, body: line + "\n" });
      const bytes = new Uint8Array(await answer.arrayBuffer());
      const took = performance.now() - began;
      const word = answer.ok ? "" : `HTTP ${answer.status}, `;
      this.#note.textContent = `${word}${count(bytes.length)} bytes in ${took.toFixed(took < 10 ? 1 : 0)} ms`;
      this.#reply.replaceChildren(...spelled(fromBytes(bytes, true)));
    } catch (fault) {
      this.#note.textContent = "no reply: " + fault.message;
      this.#reply.replaceChildren();
    }
    this.#reply.hidden = this.#reply.childNodes.length === 0;
    this.#form.elements.send.disabled = false;
  }
}
