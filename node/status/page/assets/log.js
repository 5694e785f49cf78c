// The log of propagation: the last rows only. Those in sight are elements of the page.

import { observeSize, soon } from "./frame.js";
import { clock, count, element, named, set } from "./text.js";

const most = 500; // rows kept
const height = 24; // of a row, as in the style sheet

export class Log {
  #box;
  #space;
  #note;
  #rows = []; // oldest first
  #shown = []; // those that the filter passes, newest first
  #paused = null; // what is shown meanwhile
  #missed = 0;
  #leftOut = 0;
  #dropped = 0;
  #wanted = { text: "", link: "", node: "" };
  #height = 0;
  #palette;
  onclient = () => {}; // with the key of a client whose row was clicked

  constructor(root, palette) {
    this.#palette = palette;
    this.#box = root.querySelector(".rows");
    this.#space = this.#box.firstElementChild;
    this.#note = root.querySelector(".note");
    observeSize(this.#box, (_, h) => {
      this.#height = h;
      this.#touch();
    });
    this.#box.addEventListener("scroll", () => this.#touch(), { passive: true });
  }

  // add adds rows: {at, from, to, key, label, origin, time} of a transfer, or {at, kind, peer, text} of a notice.
  add(rows, leftOut) {
    this.#leftOut += leftOut;
    for (const r of rows) {
      r.words = (r.kind ? `${r.kind} ${r.peer} ${r.text}` : `${r.from} ${r.to} ${r.label} ${r.origin} ${r.time}`).toLowerCase();
      this.#rows.push(r);
    }
    if (this.#rows.length > most) {
      this.#dropped += this.#rows.length - most;
      this.#rows.splice(0, this.#rows.length - most);
    }
    if (this.#paused) {
      this.#missed += rows.length;
      this.#touch();
    } else this.#filter(rows.length);
  }

  // filter shows the rows that match: wanted has text, node and link, or some of them.
  filter(wanted) {
    Object.assign(this.#wanted, wanted);
    this.#filter(0);
  }

  pause(yes) {
    this.#paused = yes ? [...this.#rows] : null;
    this.#missed = 0;
    this.#filter(0);
  }

  #passes(r) {
    const { text, link, node } = this.#wanted;
    if (text && !r.words.includes(text)) return false;
    if (node && r.from !== node && r.to !== node && r.peer !== node && r.origin !== node) return false;
    return !link || (r.from && [r.from, r.to].sort().join("–") === link);
  }

  #filter(fresh) {
    const before = this.#shown[0];
    this.#shown = (this.#paused ?? this.#rows).filter((r) => this.#passes(r)).reverse();
    if (fresh > 0 && this.#box.scrollTop > 2 && before) { // what is being read stays in sight
      const at = this.#shown.indexOf(before);
      if (at > 0) this.#box.scrollTop += at * height;
    }
    this.#touch();
  }

  #touch() {
    soon(this.#draw);
  }

  #draw = () => {
    const shown = this.#shown;
    this.#space.style.setProperty("height", shown.length * height + "px");
    const from = Math.max(0, Math.floor(this.#box.scrollTop / height) - 2);
    const until = Math.min(shown.length, from + Math.ceil(this.#height / height) + 4);
    const rows = [];
    for (let i = from; i < until; i++) {
      const e = (shown[i].element ??= this.#row(shown[i]));
      e.style.setProperty("top", i * height + "px");
      rows.push(e);
    }
    const there = this.#space.children;
    if (rows.length !== there.length || rows.some((r, i) => there[i] !== r)) this.#space.replaceChildren(...rows);
    const kept = (this.#paused ?? this.#rows).length;
    const parts = [shown.length === kept ? `${count(kept)} rows` : `${count(shown.length)} of ${count(kept)} rows`];
    if (this.#paused) parts.push(`paused, ${count(this.#missed)} since`);
    if (this.#leftOut > 0) parts.push(`${count(this.#leftOut)} reports left out by the node`);
    if (this.#dropped > 0) parts.push(`${count(this.#dropped)} older ones dropped`);
    set(this.#note, parts.join(" · "));
  };

  #row(r) {
    const row = element("div", r.kind ? "row notice " + tone(r.kind) : "row");
    row.append(element("time", "", clock(r.at)));
    if (r.kind) {
      row.append(element("span", "kind", r.kind), element("bdi", "what", [r.peer, r.text].filter(Boolean).join(": ")));
      row.title = row.textContent;
      return row;
    }
    const way = element("span", "way", element("bdi", "", r.from), element("i", "", " → "), element("bdi", "", r.to));
    const client = named(r.label, 48), dot = element("span", "dot");
    dot.style.setProperty("background", this.#palette.css(this.#palette.of(r.origin)));
    client.addEventListener("click", () => this.onclient(r.key));
    dot.title = `origin ${r.origin}, client’s time ${r.time}`;
    row.append(way, dot, client);
    return row;
  }
}

function tone(kind) {
  if (/down|missing|duplicate|never|abandoned|behind|other|ahead/.test(kind)) return "bad";
  if (/up|synced|returned|same/.test(kind)) return "good";
  return "";
}
