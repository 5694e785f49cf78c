// One client: its last report, and the path of that along the links.

import { clock, element, escaped, identify, named, received, set, span } from "./text.js";

// sameTime compares times as the protocol does: 1.0 is 1.00.
function sameTime(a, b) {
  const plain = (t) => t.replace(/^0+(?=\d)/, "").replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
  return plain(a) === plain(b);
}

export class Follow {
  #root;
  #palette;
  #graph;
  #key = null;
  #transfers = [];
  #time = "";
  #report = null;
  #read = 0; // when the report was fetched
  #turn = 0; // of the last call of follow
  #following = false; // the stream has its transfers
  onchange = () => {}; // with the key of the client that is followed from now on, or null

  constructor(root, palette, graph) {
    this.#root = root;
    this.#palette = palette;
    this.#graph = graph;
    root.querySelector("button").addEventListener("click", () => this.follow(null));
    root.addEventListener("keydown", (e) => e.key === "Escape" && this.follow(null));
  }

  // report is the last one of the client that is followed.
  get report() {
    return this.#report;
  }

  get key() {
    return this.#key;
  }

  // follow shows the client with a key, or none. It resolves to whether the node knows it.
  async follow(key) {
    const turn = ++this.#turn;
    if (key === null) {
      this.#key = null;
      this.#root.hidden = true;
      this.#graph.follow([]);
      this.onchange(null);
      return true;
    }
    if (/^\.\.?$/.test(key)) throw new Error("a browser takes . and .. for parts of the address, not for a client’s ID");
    const answer = await fetch("api/v1/clients/" + escaped(key));
    if (turn !== this.#turn) return true;
    if (answer.status === 404) return false;
    if (!answer.ok) throw new Error(`the node answers ${answer.status}`);
    const client = await answer.json();
    if (turn !== this.#turn) return true;
    const other = this.#key !== key;
    this.#key = key;
    if (other) {
      this.#transfers = [];
      this.#following = false;
      this.#time = client.time;
      this.#graph.follow([]);
      this.onchange(key);
    }
    this.#root.hidden = false;
    this.update(client);
    this.#path();
    return true;
  }

  // started notes that from now on the stream has each transfer of the client with a key, as it stands in a URL.
  started(key) {
    if (this.#key === null || key !== escaped(this.#key)) return;
    this.#following = true;
    this.#path();
  }

  // update shows a newer report of the client.
  update(client) {
    this.#report = client;
    this.#read = performance.now();
    const part = (name) => this.#root.querySelector("." + name);
    part("who").replaceChildren(named(identify(client.id, client.id_base64).label, 64));
    const dot = element("span", "dot");
    dot.style.setProperty("background", this.#palette.css(this.#palette.of(client.origin)));
    part("server").replaceChildren(dot, element("bdi", "", client.origin));
    set(part("position"), client.position);
    if (this.#transfers.length > 0) this.#path();
    set(part("time"), client.time);
    set(part("skew"), client.skew);
    this.age();
  }

  // age shows how old the report is.
  age() {
    if (this.#key === null) return;
    const age = this.#report.age_seconds + (performance.now() - this.#read) / 1000;
    set(this.#root.querySelector(".age"), span(age) + " ago");
  }

  // add adds a transfer of this client's reports: {at, from, to, origin, time}.
  add(t) {
    if (this.#key === null) return;
    if (!sameTime(t.time, this.#time)) {
      this.#time = t.time;
      this.#transfers = [];
    }
    if (this.#transfers.some((o) => o.from === t.from && o.to === t.to && o.at === t.at)) return;
    this.#transfers.push(t);
    this.#path();
  }

  #path() {
    const list = this.#root.querySelector("ol"), note = this.#root.querySelector(".note");
    const transfers = this.#transfers.toSorted((a, b) => a.at - b.at);
    if (transfers.length === 0) {
      list.replaceChildren();
      set(note, this.#following ? "Its path is shown from its next report on." : "Requesting its path…");
      return;
    }
    const origin = transfers[0].origin, reached = new Set([origin]), start = received(this.#report.time, this.#report.skew) * 1000;
    // Counted from the receipt at the origin, if its clock and that of the node that streams agree so far.
    const agreed = sameTime(this.#report.time, this.#time) && transfers[0].at >= start && transfers[0].at - start < 10000;
    const first = agreed ? start : transfers[0].at;
    const path = transfers.map((t) => {
      const isNew = !reached.has(t.to);
      reached.add(t.to);
      return { from: t.from, to: t.to, after: (t.at - first) / 1000, isNew };
    });
    const fresh = path.filter((t) => t.isNew), duplicates = path.filter((t) => !t.isNew);
    list.replaceChildren(...fresh.map((t) => element("li", "",
      element("span", "way", element("bdi", "", t.from), " → ", element("bdi", "", t.to)), element("span", "after", "+" + span(t.after)))));
    if (duplicates.length > 0) {
      const rest = element("li", "duplicate", `and ${duplicates.length} ${duplicates.length === 1 ? "duplicate" : "duplicates"}`);
      rest.title = duplicates.map((t) => `${t.from} → ${t.to} +${span(t.after)}`).join("\n");
      list.append(rest);
    }
    set(note, agreed ? `${origin} received it at ${clock(first)}, by its clock.` : `Counted from its first transfer, at ${clock(first)}.`);
    this.#graph.follow(path);
  }
}
