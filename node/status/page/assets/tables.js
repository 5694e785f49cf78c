// The two tables: the node's own links, and all nodes of the herd.

import { count, element, rate, set, span } from "./text.js";

const history = 60; // seconds that a spark shows

const worded = { up: "up", "catching up": "catching up", down: "down" };

function cell(label, className) {
  const td = element("td", className);
  td.dataset.label = label;
  return td;
}

function badge(state) {
  const e = element("span", "state " + state.replace(" ", "-"), worded[state] ?? state);
  return e;
}

// Links shows the links of the node itself.
export class Links {
  #body;
  #rows = new Map();
  #last = null;
  #recent = new Map(); // the latest transfers from each neighbour

  constructor(body) {
    this.#body = body;
  }

  // receive notes transfers to this node.
  receive(transfers) {
    for (const t of transfers) {
      if (!this.#recent.has(t.from)) this.#recent.set(t.from, []);
      const list = this.#recent.get(t.from);
      list.push(t);
      if (list.length > 40) list.shift();
    }
  }

  // lag shows the median time from the receipt of the latest reports at their origins, which received returns in seconds by the origin's
  // clock, until they came here.
  lag(received) {
    for (const [peer, list] of this.#recent) {
      const lags = list.map((t) => t.at / 1000 - received(t)).filter((l) => !Number.isNaN(l)).sort((a, b) => a - b);
      const row = this.#rows.get(peer);
      if (lags.length > 0 && row) set(row.cells.lag, span(lags[lags.length >> 1]));
    }
    this.#recent.clear();
  }

  #row(peer) {
    const cells = {};
    const tr = element("tr");
    const th = element("th", "", element("bdi", "", peer));
    th.scope = "row";
    tr.append(th);
    for (const [key, label, className] of [
      ["state", "State", ""], ["received", "Received/s", "number"], ["sent", "Sent/s", "number"], ["spark", "Last minute", "spark"], ["lag", "Lag", "number"],
      ["owed", "Owed", "number"], ["conflated", "Conflated", "number"], ["synced", "Synced", "number"], ["missing", "Missing", "number"], ["digest", "Digest", ""],
    ]) {
      cells[key] = cell(label, className);
      tr.append(cells[key]);
    }
    const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    picture.setAttribute("viewBox", `0 0 ${history} 16`);
    picture.setAttribute("preserveAspectRatio", "none");
    picture.setAttribute("aria-hidden", "true");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    picture.append(line);
    cells.spark.append(picture);
    tr.dataset.peer = peer;
    return { tr, cells, line, before: null, rates: [] };
  }

  // update shows the health of the node, and returns its links' states.
  update(health) {
    const links = health.links ?? [];
    const seconds = this.#last === null ? 0 : health.uptime_seconds - this.#last;
    this.#last = health.uptime_seconds;
    if (seconds < 0) this.#rows.clear(); // it was started anew
    for (const peer of this.#rows.keys()) {
      if (!links.some((l) => l.peer === peer)) this.#rows.delete(peer);
    }
    for (const l of links) {
      if (!this.#rows.has(l.peer)) this.#rows.set(l.peer, this.#row(l.peer));
      const row = this.#rows.get(l.peer), { cells } = row;
      if (row.before && seconds > 0) {
        const perSecond = (counter) => Math.max(0, l[counter] - row.before[counter]) / seconds;
        const received = perSecond("reports_received"), sent = perSecond("reports_sent");
        set(cells.received, rate(received));
        set(cells.sent, rate(sent));
        row.rates.push(received + sent);
        if (row.rates.length > history) row.rates.shift();
        const most = Math.max(1, ...row.rates);
        row.line.setAttribute("points", row.rates.map((r, i) => `${history - row.rates.length + i + 1},${(15 - (13 * r) / most).toFixed(1)}`).join(" "));
      } else if (!row.before) {
        set(cells.received, "–");
        set(cells.sent, "–");
      }
      row.before = l;
      if (cells.state.textContent !== l.state) cells.state.replaceChildren(badge(l.state));
      cells.state.title = remarks(l);
      cells.state.classList.toggle("remarked", cells.state.title !== "");
      if (cells.lag.textContent === "" || l.state === "down") set(cells.lag, "–");
      set(cells.owed, count(l.reports_owed));
      set(cells.conflated, count(l.reports_conflated));
      set(cells.synced, count(l.sync_reports));
      set(cells.missing, count(l.messages_missing));
      set(cells.digest, l.state === "down" ? `silent ${span(l.silent_seconds)}` : compared(l));
    }
    const rows = links.map((l) => this.#rows.get(l.peer).tr);
    if (rows.length !== this.#body.children.length || rows.some((r, i) => this.#body.children[i] !== r)) this.#body.replaceChildren(...rows);
  }
}

// compared says when the digests of both ends were last compared, and with what result.
function compared(l) {
  const ago = l.digest_compared_seconds;
  if (ago === undefined) return "not compared yet";
  return `${l.digest_equal ? "equal" : "differ"} ${ago < 1 ? "< 1 s" : span(ago)} ago`;
}

// remarks are what is wrong with a link, in words.
function remarks(l) {
  const list = [];
  if (l.duplicate_name) list.push("two nodes have one name");
  if (l.never_received) list.push("nothing received since the node connected");
  if (l.topology) list.push("topology: " + l.topology);
  if (l.lacking?.length) list.push("not in the topology of " + l.lacking.join(", "));
  if (l.syncs_abandoned > 0) list.push(`${count(l.syncs_abandoned)} syncs abandoned`);
  return list.join("; ");
}

// recordPeriod returns the seconds between two records of a node of so large a herd, as node/flood/record.go has it.
export const recordPeriod = (nodes) => 5 * Math.max(1, Math.ceil(nodes.length / 20));

// Nodes shows all nodes of the herd.
export class Nodes {
  #body;
  #palette;
  #rows = new Map();
  #list = [];
  #since = 0;

  constructor(body, palette) {
    this.#body = body;
    this.#palette = palette;
  }

  // update shows records of nodes, and names of others of which there is none.
  update(list, missing) {
    this.#list = list;
    this.#since = performance.now();
    const own = list.find((n) => n.self);
    const rows = [];
    for (const n of list) rows.push(this.#show(n, own));
    for (const name of missing) rows.push(this.#unknown(name));
    for (const name of this.#rows.keys()) {
      if (!list.some((n) => n.name === name) && !missing.includes(name)) this.#rows.delete(name);
    }
    if (rows.length !== this.#body.children.length || rows.some((r, i) => this.#body.children[i] !== r)) this.#body.replaceChildren(...rows);
    this.age();
  }

  #row(name, self) {
    let row = this.#rows.get(name);
    if (row) return row;
    const tr = element("tr"), cells = {}, dot = element("span", "dot");
    const th = element("th", "", dot, element("bdi", "", name));
    if (self) th.append(" ", element("span", "tag", "this node"));
    th.scope = "row";
    dot.style.setProperty("background", this.#palette.css(this.#palette.of(name)));
    tr.append(th);
    for (const [key, label, className] of [
      ["version", "Version", "mono"], ["incarnation", "Incarnation", "mono"], ["uptime", "Uptime", "number"], ["clients", "Clients", "number"],
      ["digest", "Digest", "mono"], ["links", "Links", ""], ["age", "Record", "number"],
    ]) {
      cells[key] = cell(label, className);
      tr.append(cells[key]);
    }
    tr.dataset.node = name;
    row = { tr, cells, dot };
    this.#rows.set(name, row);
    return row;
  }

  #show(n, own) {
    const { tr, cells } = this.#row(n.name, n.self);
    set(cells.version, n.version.length > 18 ? n.version.slice(0, 17) + "…" : n.version);
    cells.version.title = n.version;
    set(cells.incarnation, n.incarnation.slice(0, 8));
    cells.incarnation.title = n.incarnation;
    set(cells.uptime, span(n.uptime_seconds));
    set(cells.clients, count(n.clients));
    set(cells.digest, n.digest.slice(0, 8));
    cells.digest.title = n.digest + (own && !n.self ? (n.digest === own.digest ? ": as here" : ": other than here now, as of the record") : "");
    cells.digest.classList.toggle("equal", Boolean(own) && !n.self && n.digest === own.digest);
    const states = (n.links ?? []).map((l) => l.peer + " " + l.state).join(", ");
    if (cells.links.title !== states) {
      cells.links.title = states;
      const marks = (n.links ?? []).map((l) => element("span", "mark " + l.state.replace(" ", "-")));
      const bad = (n.links ?? []).filter((l) => l.state !== "up");
      const words = bad.length === 0 ? `${marks.length} up` : bad.map((l) => `${l.peer} ${l.state}`).join(", ");
      cells.links.replaceChildren(element("span", "marks", ...marks), element("span", "", words));
    }
    return tr;
  }

  #unknown(name) {
    const { tr, cells } = this.#row(name, false);
    for (const c of Object.values(cells)) set(c, "–");
    set(cells.age, "none yet");
    return tr;
  }

  // age shows how old the records are.
  age() {
    const passed = (performance.now() - this.#since) / 1000;
    for (const n of this.#list) {
      const { tr, cells } = this.#rows.get(n.name), age = n.self ? 0 : n.age_seconds + passed;
      set(cells.age, n.self ? "now" : span(Math.max(1, age)) + " ago");
      tr.classList.toggle("stale", age > 3 * recordPeriod(this.#list));
    }
  }

  redraw() {
    for (const [name, { dot }] of this.#rows) dot.style.setProperty("background", this.#palette.css(this.#palette.of(name)));
  }
}
