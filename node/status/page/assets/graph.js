// The topology: servers, links and what travels on them.

import { observeSize, soon } from "./frame.js";
import { count, rate, span } from "./text.js";

const smoothing = 0.4; // weight of the newest half second in a rate
const glow = 1200; // ms for which a direction stays lit after a report

function svg(name, className, attributes = {}) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", name);
  if (className) e.setAttribute("class", className);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  return e;
}

const direction = (from, to) => from + ">" + to;

// crosses returns whether a rectangle about a point meets a line.
function crosses([x, y], w, h, [ax, ay], [bx, by]) {
  const steps = 24;
  for (let i = 0; i <= steps; i++) {
    const px = ax + ((bx - ax) * i) / steps, py = ay + ((by - ay) * i) / steps;
    if (Math.abs(px - x) < w / 2 && Math.abs(py - y) < h / 2) return true;
  }
  return false;
}

export class Graph {
  #svg;
  #palette;
  #names = [];
  #links = [];
  #self = "";
  #shape = []; // where the API places the nodes, in links
  #points = []; // where they are, in pixels
  #size = [0, 0];
  #nodes = new Map(); // elements of each node, by name
  #lines = new Map(); // elements of each link, by both directions
  #lanes = new Map(); // of each direction: {line, rate, lit, waiting}
  #path = [];
  #paths;
  onchange = () => {}; // with a description for those who don't see it
  onnode = () => {}; // with the name of a node that was clicked

  constructor(picture, palette) {
    this.#svg = picture;
    this.#palette = palette;
    observeSize(picture.parentElement, (w, h) => {
      this.#size = [w, h];
      this.#build();
    });
  }

  // show draws a topology: {nodes: [{name, x, y}], links: [[a, b]], self}.
  show({ nodes, links, self }) {
    const names = nodes.map((n) => n.name);
    const same = JSON.stringify([names, links, self]) === JSON.stringify([this.#names, this.#links, this.#self]);
    if (same) return;
    [this.#names, this.#links, this.#self] = [names, links, self];
    this.#shape = nodes.map((n) => [n.x, n.y]);
    this.#build();
  }

  redraw() {
    this.#build();
  }

  #place() {
    const [w, h] = this.#size, crowded = this.#names.length > 12;
    const xs = this.#shape.map((p) => p[0]), ys = this.#shape.map((p) => p[1]);
    const left = Math.min(...xs), top = Math.min(...ys);
    const wide = Math.max(...xs) - left || 1, high = Math.max(...ys) - top || 1;
    const padX = crowded ? 46 : 64, padY = crowded ? 26 : 40;
    const scaleX = (w - 2 * padX) / wide, scaleY = (h - 2 * padY) / high;
    const even = Math.min(scaleX, scaleY); // the graph may be stretched, but not out of all shape
    const sx = Math.min(scaleX, even * 1.7), sy = Math.min(scaleY, even * 1.7);
    this.#points = this.#shape.map(([x, y]) => [w / 2 + (x - left - wide / 2) * sx, h / 2 + (y - top - high / 2) * sy]);
  }

  #build() {
    const [w, h] = this.#size;
    if (w === 0 || this.#names.length === 0) return;
    this.#place();
    const before = this.#lanes;
    this.#nodes.clear();
    this.#lines.clear();
    this.#lanes = new Map();
    this.#svg.setAttribute("viewBox", `0 0 ${w} ${h}`);
    const point = new Map(this.#names.map((n, i) => [n, this.#points[i]]));
    const crowded = this.#names.length > 12, r = crowded ? 7 : 13;
    const links = svg("g"), rates = svg("g"), nodes = svg("g");
    this.#paths = svg("g");
    for (const [a, b] of this.#links) {
      const [pa, pb] = [point.get(a), point.get(b)], long = Math.hypot(pb[0] - pa[0], pb[1] - pa[1]) || 1;
      const [ux, uy] = [(pb[0] - pa[0]) / long, (pb[1] - pa[1]) / long];
      const g = svg("g", "edge");
      g.append(svg("line", "wire", { x1: pa[0], y1: pa[1], x2: pb[0], y2: pb[1] }));
      for (const [from, to, p, q, side] of [[a, b, pa, pb, 1], [b, a, pb, pa, -1]]) {
        const [dx, dy] = [ux * side, uy * side], off = 3;
        const line = svg("line", "lane", {
          x1: p[0] + dx * (r + 3) - dy * off, y1: p[1] + dy * (r + 3) + dx * off,
          x2: q[0] - dx * (r + 3) - dy * off, y2: q[1] - dy * (r + 3) + dx * off,
        });
        const { rate, lit, waiting } = before.get(direction(from, to)) ?? { rate: 0, lit: 0, waiting: 0 };
        this.#lanes.set(direction(from, to), { line, rate, lit, waiting });
        g.append(line);
      }
      const [mx, my] = [(pa[0] + pb[0]) / 2, (pa[1] + pb[1]) / 2];
      const label = svg("text", "rate", { x: mx, y: my });
      const title = svg("title");
      const cross = svg("path", "cross", { d: `M${mx - 5} ${my - 5}l10 10M${mx + 5} ${my - 5}l-10 10` });
      g.append(cross, title);
      links.append(g);
      if (!crowded && w >= 420) rates.append(label);
      const part = { a, b, g, label, title, state: "" };
      this.#lines.set(direction(a, b), part);
      this.#lines.set(direction(b, a), part);
    }
    const occupied = [];
    this.#names.forEach((name, i) => {
      const [x, y] = this.#points[i], g = svg("g", name === this.#self ? "node self" : "node", { tabindex: -1 });
      if (name === this.#self) g.append(svg("circle", "ring", { cx: x, cy: y, r: r + 4.5 }));
      const disc = svg("circle", "disc", { cx: x, cy: y, r, fill: this.#palette.css(this.#palette.of(name)) });
      const title = svg("title");
      title.textContent = name;
      const [at, anchor] = this.#beside(i, r, crowded, occupied);
      const label = svg("text", "name", { x: at[0], y: at[1], "text-anchor": anchor });
      label.textContent = name;
      g.append(disc, title, label);
      let detail = null;
      if (!crowded) {
        detail = svg("text", "detail", { x: at[0], y: at[1] + 14, "text-anchor": anchor });
        g.append(detail);
      }
      g.addEventListener("click", () => this.onnode(name));
      nodes.append(g);
      this.#nodes.set(name, { g, title, detail });
    });
    this.#svg.replaceChildren(links, rates, this.#paths, nodes);
    this.#state(this.#states ?? []);
    this.#fill(this.#details ?? new Map());
    this.follow(this.#path);
    this.tick([]);
  }

  // beside finds room for the label of a node: above, below, left or right, where it covers least.
  #beside(i, r, crowded, occupied) {
    const [x, y] = this.#points[i], [w, h] = this.#size;
    const wide = this.#names[i].length * 7 + 8, wideAll = crowded ? wide : Math.max(wide, 74), high = crowded ? 14 : 30;
    const gap = r + (this.#names[i] === this.#self ? 9 : 5);
    const options = [
      [[x, y + gap + 9], "middle", [x, y + gap + high / 2]],
      [[x, y - gap - high + 11], "middle", [x, y - gap - high / 2]],
      [[x + gap + 2, y + 4 - (high - 14) / 2], "start", [x + gap + wideAll / 2, y]],
      [[x - gap - 2, y + 4 - (high - 14) / 2], "end", [x - gap - wideAll / 2, y]],
    ];
    let best = null, least = Infinity;
    for (const [at, anchor, middle] of options) {
      let cost = options.findIndex((o) => o[0] === at) * 0.1;
      for (const [a, b] of this.#links) {
        const [pa, pb] = [this.#points[this.#names.indexOf(a)], this.#points[this.#names.indexOf(b)]];
        if (crosses(middle, wideAll, high, pa, pb)) cost += 2;
        const overRate = Math.abs((pa[0] + pb[0]) / 2 - middle[0]) < wideAll / 2 + 22 && Math.abs((pa[1] + pb[1]) / 2 - middle[1]) < high / 2 + 7;
        if (overRate && !crowded && w >= 420) cost += 3;
      }
      this.#points.forEach(([px, py], k) => {
        if (k !== i && Math.abs(px - middle[0]) < wideAll / 2 + r && Math.abs(py - middle[1]) < high / 2 + r) cost += 4;
      });
      for (const [tx, ty, tw, th] of occupied) {
        if (Math.abs(tx - middle[0]) < (tw + wideAll) / 2 && Math.abs(ty - middle[1]) < (th + high) / 2) cost += 4;
      }
      if (middle[0] - wideAll / 2 < 0 || middle[0] + wideAll / 2 > w || middle[1] - high / 2 < 0 || middle[1] + high / 2 > h) cost += 8;
      if (cost < least) [best, least] = [[at, anchor, middle], cost];
    }
    occupied.push([...best[2], wideAll, high]);
    return best;
  }

  #states;
  #details;

  // state shows states of links: [{a, b, state, by}], where by is the node whose view it is.
  state(list) {
    this.#states = list;
    this.#state(list);
  }

  #state(list) {
    const worst = ["up", "catching up", "down"];
    const of = new Map();
    for (const { a, b, state, by } of list) {
      const part = this.#lines.get(direction(a, b));
      if (!part) continue;
      const known = of.get(part);
      if (!known || worst.indexOf(state) > worst.indexOf(known.state)) of.set(part, { state, by: [by] });
      else if (known.state === state && !known.by.includes(by)) known.by.push(by);
    }
    const down = [];
    for (const part of new Set(this.#lines.values())) {
      const { state = "unknown", by = [] } = of.get(part) ?? {};
      part.state = state;
      part.g.setAttribute("class", "edge " + state.replace(" ", "-"));
      part.g.dataset.link = [part.a, part.b].sort().join("-");
      part.text = state === "unknown" ? "no record of it yet" : `${state}, as ${by.join(" and ")} ${by.length === 1 ? "sees" : "see"} it`;
      if (state !== "up" && state !== "unknown") down.push(`${part.a}–${part.b} ${state}`);
    }
    const text = `${this.#names.length} servers, ${this.#links.length} links` + (down.length > 0 ? `: ${down.join(", ")}` : ", none known to be down");
    this.#svg.setAttribute("aria-label", "Topology: " + text);
    this.onchange(text, down);
    this.#titles();
  }

  // fill shows details of nodes: a map from names to {clients, stale, age}.
  fill(details) {
    this.#details = details;
    this.#fill(details);
  }

  #fill(details) {
    for (const [name, { g, title, detail }] of this.#nodes) {
      const d = details.get(name);
      g.classList.toggle("stale", d?.stale ?? false);
      const text = !d ? "" : d.stale ? `last record ${span(d.age)} ago` : count(d.clients) + (d.clients === 1 ? " client" : " clients");
      if (detail) detail.textContent = text;
      title.textContent = text ? `${name}: ${text}` : name;
    }
  }

  // tick shows the traffic of the last tick: [{from, to, reports}].
  tick(links) {
    const now = performance.now(), of = new Map(links.map((l) => [direction(l.from, l.to), l.reports]));
    for (const [key, lane] of this.#lanes) {
      const n = of.get(key) ?? 0;
      if (n > 0) lane.lit = now;
      lane.waiting += n;
      const flow = now - lane.lit >= glow || lane.lit === 0 ? 0 : Math.min(4, 1 + Math.floor(Math.log10(Math.max(1, lane.rate))));
      if (lane.line.dataset.flow !== String(flow)) lane.line.dataset.flow = flow;
    }
  }

  // beat makes rates of what travelled since the last beat, so many seconds ago.
  beat(seconds) {
    for (const lane of this.#lanes.values()) {
      lane.rate += smoothing * (lane.waiting / seconds - lane.rate);
      lane.waiting = 0;
    }
    this.tick([]);
    soon(this.#titles);
  }

  #titles = () => {
    for (const part of new Set(this.#lines.values())) {
      const there = this.#lanes.get(direction(part.a, part.b)).rate, back = this.#lanes.get(direction(part.b, part.a)).rate;
      const sum = there + back;
      const label = sum < 0.5 || part.state === "down" ? "" : rate(sum) + "/s";
      if (part.label.textContent !== label) part.label.textContent = label;
      const title = `${part.a}–${part.b}: ${part.text}\n${part.a} → ${part.b} ${rate(there)} reports/s\n${part.b} → ${part.a} ${rate(back)} reports/s`;
      if (part.title.textContent !== title) part.title.textContent = title;
    }
  };

  // follow highlights the path of one client's report: [{from, to, after, isNew}], after in seconds.
  follow(path) {
    this.#path = path;
    if (!this.#paths) return;
    const point = new Map(this.#names.map((n, i) => [n, this.#points[i]]));
    const parts = [];
    for (const { from, to, after, isNew } of path) {
      const [p, q] = [point.get(from), point.get(to)];
      if (!p || !q) continue;
      const long = Math.hypot(q[0] - p[0], q[1] - p[1]) || 1, dx = (q[0] - p[0]) / long, dy = (q[1] - p[1]) / long;
      const r = (this.#names.length > 12 ? 7 : 13) + 5, off = 3;
      const x1 = p[0] + dx * r - dy * off, y1 = p[1] + dy * r + dx * off;
      const x2 = q[0] - dx * (r + 4) - dy * off, y2 = q[1] - dy * (r + 4) + dx * off;
      parts.push(svg("line", isNew ? "transfer" : "transfer duplicate", { x1, y1, x2, y2, "marker-end": "none" }));
      const head = `M${x2 + dx * 6} ${y2 + dy * 6}L${x2 - dy * 4} ${y2 + dx * 4}L${x2 + dy * 4} ${y2 - dx * 4}Z`;
      parts.push(svg("path", isNew ? "head" : "head duplicate", { d: head }));
      if (!isNew) continue;
      const label = svg("text", "after", { x: (x1 + x2) / 2 - dy * 9, y: (y1 + y2) / 2 + dx * 9 + 4 });
      label.textContent = "+" + span(after);
      parts.push(label);
    }
    this.#paths.replaceChildren(...parts);
    this.#svg.classList.toggle("following", path.length > 0);
  }
}
