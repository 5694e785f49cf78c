// One client: its report, and the way of that along the links, hop by hop.

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
  #hops = [];
  #time = "";
  #report = null;
  #read = 0; // when the report was
  #turn = 0;
  #asked = false; // the node tells of its hops
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
      this.#hops = [];
      this.#asked = false;
      this.#time = client.time;
      this.#graph.follow([]);
      this.onchange(key);
    }
    this.#root.hidden = false;
    this.update(client);
    this.#path();
    return true;
  }

  // asked notes that from now on the node tells of each hop of the client with a key, as it stands in a URL.
  asked(key) {
    if (this.#key === null || key !== escaped(this.#key)) return;
    this.#asked = true;
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
    if (this.#hops.length > 0) this.#path();
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

  // hop takes one that was seen of this client's reports.
  hop(h) {
    if (this.#key === null) return;
    if (!sameTime(h.time, this.#time)) {
      this.#time = h.time;
      this.#hops = [];
    }
    if (this.#hops.some((o) => o.from === h.from && o.to === h.to && o.at === h.at)) return;
    this.#hops.push(h);
    this.#path();
  }

  #path() {
    const list = this.#root.querySelector("ol"), says = this.#root.querySelector(".says");
    const hops = this.#hops.toSorted((a, b) => a.at - b.at);
    if (hops.length === 0) {
      list.replaceChildren();
      set(says, this.#asked ? "Its hops are shown from its next report on." : "Asking for its hops…");
      return;
    }
    const origin = hops[0].origin, known = new Set([origin]), taken = received(this.#report.time, this.#report.skew) * 1000;
    // Counted from when the origin took it, where its clock and that of the node that tells of hops agree so far.
    const agreed = sameTime(this.#report.time, this.#time) && hops[0].at >= taken && hops[0].at - taken < 10000;
    const first = agreed ? taken : hops[0].at;
    const path = hops.map((h) => {
      const news = !known.has(h.to);
      known.add(h.to);
      return { from: h.from, to: h.to, after: (h.at - first) / 1000, news };
    });
    const news = path.filter((h) => h.news), old = path.filter((h) => !h.news);
    list.replaceChildren(...news.map((h) => element("li", "",
      element("span", "way", element("bdi", "", h.from), " → ", element("bdi", "", h.to)), element("span", "after", "+" + span(h.after)))));
    if (old.length > 0) {
      const rest = element("li", "old", `and ${old.length} ${old.length === 1 ? "time" : "times"} to where it was known`);
      rest.title = old.map((h) => `${h.from} → ${h.to} +${span(h.after)}`).join("\n");
      list.append(rest);
    }
    set(says, agreed ? `${origin} took it at ${clock(first)}, by its clock.` : `Counted from its first hop, at ${clock(first)}.`);
    this.#graph.follow(path);
  }
}
