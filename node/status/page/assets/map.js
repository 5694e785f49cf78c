// The map of clients: land below, then trails, dots, and what moves. Each is a canvas of its own, drawn anew when it has changed.

import { project, unproject } from "./clients.js";
import { observeSize, soon, still } from "./frame.js";
import { Gestures } from "./gestures.js";
import { Dots } from "./paint.js";
import { short } from "./text.js";

const home = [project(81, 0)[1], project(-57, 0)[1]]; // what of the world is shown at first: beyond live seals
const pulseTime = 900; // ms
const mostPulses = 160;
const mostTrails = 2000; // drawn, where no more than some clients are: else they would hide what they are of
const fewClients = 8000;
const deepest = 20000; // times the whole world

// rings returns the outlines of a country as rows of x and y.
function rings(feature) {
  const { type, coordinates } = feature.geometry;
  return (type === "MultiPolygon" ? coordinates : [coordinates]).flatMap((polygon) =>
    polygon.map((ring) => Float64Array.from(ring.flatMap(([lon, lat]) => project(lat, lon)))),
  );
}

export class WorldMap {
  #box;
  #clients;
  #palette;
  #land = [];
  #dots;
  #layers;
  #width = 0;
  #height = 0;
  #ratio = 1;
  #scale = 1; // CSS pixels in the width of the world
  #x = 0.5; // of the world, in the middle
  #y = (home[0] + home[1]) / 2;
  #fitted = true; // to the whole world, until it is moved
  #dirty = { base: true, dots: true, top: true };
  #pulses = [];
  #hover = -1;
  #chosen = -1;
  onpick = () => {}; // with the number of a client, -1 for none
  onhover = () => {}; // with its number, and where it is on the box
  ondraw = () => {}; // with how many dots are in sight

  constructor(box, clients, palette) {
    this.#box = box;
    this.#clients = clients;
    this.#palette = palette;
    const [base, trails, dots, top] = box.querySelectorAll("canvas");
    this.#layers = { base, trails, dots, top };
    this.#dots = new Dots(dots);
    observeSize(box, (width, height) => this.#resize(width, height));
    new Gestures(box, {
      pan: (dx, dy) => this.pan(dx, dy),
      zoom: (factor, x, y) => this.zoom(factor, x, y),
      fit: () => this.fit(),
      hover: (x, y) => this.#point(x, y),
      pick: (x, y) => this.onpick(this.#at(x, y, 24)),
      leave: () => this.#point(-1e6, -1e6),
      middle: () => [this.#width / 2, this.#height / 2],
    });
  }

  async load(url) {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
    this.#land = (await answer.json()).features.flatMap(rings);
    this.redraw();
  }

  // redraw draws everything: the colours may be others.
  redraw() {
    this.#touch("base", "dots", "top");
  }

  // changed draws the dots anew.
  changed() {
    this.#touch("dots", "top");
  }

  // pulse lights a client up for a moment.
  pulse(i) {
    if (still() || document.hidden) return;
    if (this.#pulses.length >= mostPulses) this.#pulses.shift();
    this.#pulses.push({ i, since: performance.now() });
    this.#touch("top");
  }

  // choose marks a client, -1 for none, and brings it into view.
  choose(i, show = false) {
    this.#chosen = i;
    if (show && i >= 0) {
      const [px, py] = this.#place(this.#clients.x[i], this.#clients.y[i]);
      if (px < 30 || py < 30 || px > this.#width - 30 || py > this.#height - 30) {
        this.#x = this.#clients.x[i];
        this.#y = this.#clients.y[i];
        this.#settle();
      }
    }
    this.#touch("top");
  }

  // middle returns the place in the middle, in degrees.
  get middle() {
    return unproject(this.#x, this.#y);
  }

  // placeOf returns where a client is on the box.
  placeOf(i) {
    return this.#place(this.#clients.x[i], this.#clients.y[i]);
  }

  #touch(...layers) {
    for (const l of layers) this.#dirty[l] = true;
    soon(this.#draw);
  }

  get #least() {
    return Math.min(this.#width, this.#height / (home[1] - home[0]));
  }

  fit() {
    this.#fitted = true;
    this.#scale = this.#least;
    this.#x = 0.5;
    this.#y = (home[0] + home[1]) / 2;
    this.#settle();
  }

  pan(dx, dy) {
    this.#x -= dx / this.#scale;
    this.#y -= dy / this.#scale;
    this.#settle();
  }

  // zoom keeps the place at a point of the box where it is. It returns whether anything changed.
  zoom(factor, px = this.#width / 2, py = this.#height / 2) {
    const scale = Math.min(deepest * this.#least, Math.max(this.#least, this.#scale * factor));
    if (scale === this.#scale) return false;
    this.#x += (px - this.#width / 2) * (1 / this.#scale - 1 / scale);
    this.#y += (py - this.#height / 2) * (1 / this.#scale - 1 / scale);
    this.#scale = scale;
    this.#fitted = scale === this.#least;
    this.#settle();
    return true;
  }

  // settle keeps the world in the box.
  #settle() {
    const clamp = (at, half, from, to) => (2 * half >= to - from ? (from + to) / 2 : Math.min(to - half, Math.max(from + half, at)));
    const [top, bottom] = this.#fitted ? home : [0, project(-90, 0)[1]];
    this.#x = clamp(this.#x, this.#width / 2 / this.#scale, 0, 1);
    this.#y = clamp(this.#y, this.#height / 2 / this.#scale, top, bottom);
    this.#box.classList.toggle("zoomed", !this.#fitted);
    this.redraw();
  }

  #resize(width, height) {
    const ratio = Math.min(2, devicePixelRatio || 1);
    const factor = this.#width > 0 ? width / this.#width : 1;
    [this.#width, this.#height, this.#ratio] = [width, height, ratio];
    for (const l of Object.values(this.#layers)) {
      l.width = Math.round(width * ratio);
      l.height = Math.round(height * ratio);
    }
    if (this.#fitted) this.fit();
    else this.zoom(factor) || this.#settle();
  }

  #place(x, y) {
    return [(x - this.#x) * this.#scale + this.#width / 2, (y - this.#y) * this.#scale + this.#height / 2];
  }

  // at returns the client at a point of the box, -1 for none within so many pixels.
  #at(px, py, most) {
    const x = (px - this.#width / 2) / this.#scale + this.#x, y = (py - this.#height / 2) / this.#scale + this.#y;
    return this.#clients.nearest(x, y, most / this.#scale);
  }

  #point(px, py) {
    const i = this.#at(px, py, 14);
    if (i === this.#hover && i < 0) return;
    this.#hover = i;
    this.onhover(i, ...(i < 0 ? [0, 0] : this.placeOf(i)));
    this.#touch("top");
  }

  #draw = (now) => {
    if (this.#width === 0) return;
    const dirty = this.#dirty;
    this.#dirty = { base: false, dots: false, top: false };
    if (dirty.base) this.#drawBase();
    if (dirty.dots) {
      this.#drawTrails();
      this.#drawDots();
    }
    if (dirty.top) this.#drawTop(now);
  };

  #radius() {
    const n = this.#clients.size, closer = Math.min(2, Math.log2(this.#scale / this.#least + 1) / 2 + 0.5);
    return (n > 30000 ? 0.9 : n > 5000 ? 1.3 : n > 800 ? 1.9 : 2.6) * closer;
  }

  #drawBase() {
    const c = this.#fresh(this.#layers.base), style = getComputedStyle(this.#box);
    c.beginPath();
    for (let lon = -180; lon <= 180; lon += 30) {
      const [x] = this.#place(project(0, lon)[0], 0);
      c.moveTo(x, 0);
      c.lineTo(x, this.#height);
    }
    for (let lat = -60; lat <= 60; lat += 30) {
      const [, y] = this.#place(0, project(lat, 0)[1]);
      c.moveTo(0, y);
      c.lineTo(this.#width, y);
    }
    c.strokeStyle = style.getPropertyValue("--grid");
    c.lineWidth = 1;
    c.stroke();
    c.beginPath();
    for (const ring of this.#land) {
      for (let i = 0; i < ring.length; i += 2) {
        const [x, y] = this.#place(ring[i], ring[i + 1]);
        if (i === 0) c.moveTo(x, y);
        else c.lineTo(x, y);
      }
      c.closePath();
    }
    c.fillStyle = style.getPropertyValue("--land");
    c.fill();
    c.strokeStyle = style.getPropertyValue("--border");
    c.lineWidth = 0.75;
    c.stroke();
  }

  #drawDots() {
    const left = this.#x - this.#width / 2 / this.#scale, top = this.#y - this.#height / 2 / this.#scale;
    this.ondraw(this.#dots.draw(this.#clients, left, top, this.#scale * this.#ratio, this.#radius() * this.#ratio, this.#palette));
  }

  #trail(c, i) {
    const trail = this.#clients.trails.get(i);
    if (!trail) return;
    c.moveTo(...this.#place(trail[0], trail[1]));
    for (let k = 2; k <= trail.length; k += 2) {
      const last = k === trail.length;
      const x = last ? this.#clients.x[i] : trail[k], y = last ? this.#clients.y[i] : trail[k + 1];
      const before = trail[k - 2];
      if (Math.abs(x - before) > 0.5) c.moveTo(...this.#place(x, y)); // over the date line
      else c.lineTo(...this.#place(x, y));
    }
  }

  // fresh returns the context of a layer that has been wiped.
  #fresh(layer) {
    const c = layer.getContext("2d");
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.clearRect(0, 0, c.canvas.width, c.canvas.height);
    c.setTransform(this.#ratio, 0, 0, this.#ratio, 0, 0);
    c.lineJoin = "round";
    return c;
  }

  #drawTrails() {
    const c = this.#fresh(this.#layers.trails), clients = this.#clients;
    if (clients.size > fewClients) return;
    c.lineWidth = 1.25;
    for (const [origin, list] of Map.groupBy([...clients.trails.keys()].slice(-mostTrails), (i) => clients.origin[i])) {
      c.beginPath();
      for (const i of list) this.#trail(c, i);
      c.strokeStyle = this.#palette.css(origin, 0.5);
      c.stroke();
    }
  }

  #drawTop(now) {
    const c = this.#fresh(this.#layers.top), clients = this.#clients, style = getComputedStyle(this.#box);
    c.lineWidth = 1.25;
    this.#pulses = this.#pulses.filter((p) => now - p.since < pulseTime && p.i < clients.size);
    for (const { i, since } of this.#pulses) {
      const part = Math.max(0, now - since) / pulseTime, [x, y] = this.placeOf(i);
      if (x < -20 || y < -20 || x > this.#width + 20 || y > this.#height + 20) continue;
      c.beginPath();
      c.arc(x, y, 2 + (this.#width < 600 ? 5 : 8) * Math.sqrt(part), 0, 7);
      c.strokeStyle = this.#palette.css(clients.origin[i], 0.9 * (1 - part));
      c.stroke();
    }
    for (const i of new Set([this.#hover, this.#chosen])) {
      if (i < 0 || i >= clients.size) continue;
      const [x, y] = this.placeOf(i), colour = this.#palette.css(clients.origin[i]);
      c.beginPath();
      this.#trail(c, i);
      c.strokeStyle = colour;
      c.lineWidth = 2;
      c.stroke();
      c.beginPath();
      c.arc(x, y, 4.5, 0, 7);
      c.fillStyle = colour;
      c.fill();
      c.beginPath();
      c.arc(x, y, 8, 0, 7);
      c.strokeStyle = style.getPropertyValue("--ink");
      c.lineWidth = 1.5;
      c.stroke();
      if (i === this.#chosen) this.#name(c, style, short(clients.labels[i], 28), x, y);
    }
    if (this.#pulses.length > 0) this.#touch("top");
  }

  #name(c, style, text, x, y) {
    c.font = "600 12px " + style.fontFamily;
    c.textBaseline = "middle";
    const width = c.measureText(text).width, left = x + 14 + width > this.#width ? x - 14 - width : x + 14;
    c.lineWidth = 4;
    c.lineJoin = "round";
    c.strokeStyle = style.getPropertyValue("--sea");
    c.strokeText(text, left, y);
    c.fillStyle = style.getPropertyValue("--ink");
    c.fillText(text, left, y);
  }
}
