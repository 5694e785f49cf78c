// Positions of the clients, in columns of numbers: so a hundred thousand of them can be drawn at once.

import { identify } from "./text.js";

const widest = 1.25 * Math.log(Math.tan(Math.PI / 4 + 0.2 * Math.PI)); // of Miller's projection, at a pole
const trailLength = 12; // last positions of a client that moved
const mostTrails = 20000; // of the clients that moved last

// project returns a place in units of the width of the world, x to the east and y to the south (Miller's cylindrical projection).
export function project(lat, lon) {
  return [(lon + 180) / 360, (widest - 1.25 * Math.log(Math.tan(Math.PI / 4 + (0.4 * lat * Math.PI) / 180))) / (2 * Math.PI)];
}

// unproject is the other way.
export function unproject(x, y) {
  return [((Math.atan(Math.exp((widest - y * 2 * Math.PI) / 1.25)) - Math.PI / 4) * 180) / (0.4 * Math.PI), x * 360 - 180];
}

export class Clients {
  index = new Map(); // from keys
  keys = [];
  labels = [];
  times = []; // as the clients gave them
  size = 0;
  x = new Float64Array(1024);
  y = new Float64Array(1024);
  origin = new Uint16Array(1024);
  received = new Float64Array(1024); // by the origin, seconds since 1970 by its clock; NaN if not known
  localTime = new Float64Array(1024); // the same moment by the viewer's clock, in ms
  trails = new Map(); // from numbers to the places before the last; who moved last is last

  #grow() {
    for (const column of ["x", "y", "origin", "received", "localTime"]) {
      const wider = new this[column].constructor(this.x.length * 2);
      wider.set(this[column]);
      if (column !== "x") this[column] = wider;
      else this.wider = wider;
    }
    this.x = this.wider;
    this.wider = null;
  }

  // put notes a report. It returns the client's number, and whether it was elsewhere before.
  put(id, base64, origin, lat, lon, time, received, localTime) {
    const { key, label } = identify(id, base64);
    const [x, y] = project(lat, lon);
    let i = this.index.get(key), moved = false;
    if (i === undefined) {
      i = this.size++;
      if (i === this.x.length) this.#grow();
      this.index.set(key, i);
      this.keys[i] = key;
      this.labels[i] = label;
    } else if (this.x[i] !== x || this.y[i] !== y) {
      moved = true;
      const trail = this.trails.get(i) ?? [];
      this.trails.delete(i);
      trail.push(this.x[i], this.y[i]);
      if (trail.length > 2 * trailLength) trail.splice(0, 2);
      this.trails.set(i, trail);
      if (this.trails.size > mostTrails) this.trails.delete(this.trails.keys().next().value);
    }
    this.x[i] = x;
    this.y[i] = y;
    this.origin[i] = origin;
    this.times[i] = time;
    this.received[i] = received;
    this.localTime[i] = localTime;
    return [i, moved];
  }

  // nearest returns the number of the client nearest to a place, no farther than so much, or -1.
  nearest(x, y, most) {
    let best = -1, least = most * most;
    for (let i = 0; i < this.size; i++) {
      const dx = this.x[i] - x, dy = this.y[i] - y, d = dx * dx + dy * dy;
      if (d < least) [best, least] = [i, d];
    }
    return best;
  }
}
