// Dots, drawn into pixels by hand: a hundred thousand in a few milliseconds, which paths on a canvas would take a second for.

const stamps = new Map();

// stamp returns the pixels of a dot with a radius: offsets and coverage.
function stamp(radius) {
  const key = Math.round(radius * 4);
  let s = stamps.get(key);
  if (s) return s;
  const r = key / 4, reach = Math.ceil(r + 0.5), cells = [];
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const cover = Math.min(1, Math.max(0, r + 0.5 - Math.hypot(dx, dy)));
      if (cover > 0.05) cells.push([dx, dy, Math.round(cover * 255)]);
    }
  }
  s = { reach, cells };
  stamps.set(key, s);
  return s;
}

export class Dots {
  #context;
  #image = null;
  #pixels = null;

  constructor(canvas) {
    this.#context = canvas.getContext("2d");
  }

  // draw draws all clients, in device pixels: place x of the world is at (x - left) * scale. It returns how many are in sight.
  draw(clients, left, top, scale, radius, palette) {
    const { width, height } = this.#context.canvas;
    if (width === 0 || height === 0) return 0;
    if (this.#image?.width !== width || this.#image.height !== height) {
      this.#image = new ImageData(width, height);
      this.#pixels = new Uint32Array(this.#image.data.buffer);
    }
    const pixels = this.#pixels, { reach, cells } = stamp(radius);
    pixels.fill(0);
    const colours = Uint32Array.from(palette.names, (_, i) => {
      const [r, g, b] = palette.rgb(i);
      return r | (g << 8) | (b << 16);
    });
    const n = cells.length, offsets = new Int32Array(n), covers = new Uint32Array(n);
    for (let c = 0; c < n; c++) {
      offsets[c] = cells[c][1] * width + cells[c][0];
      covers[c] = cells[c][2];
    }
    const { x, y, origin, size } = clients;
    const right = width - reach, bottom = height - reach;
    let seen = 0;
    for (let i = 0; i < size; i++) {
      const px = ((x[i] - left) * scale) | 0, py = ((y[i] - top) * scale) | 0;
      if (px < 0 || py < 0 || px >= width || py >= height) continue;
      seen++;
      if (px < reach || py < reach || px >= right || py >= bottom) continue; // it would be cut
      const at = py * width + px, colour = colours[origin[i]];
      for (let c = 0; c < n; c++) {
        const p = at + offsets[c], cover = covers[c];
        if (cover >= pixels[p] >>> 24) pixels[p] = (colour | (cover << 24)) >>> 0;
      }
    }
    this.#context.putImageData(this.#image, 0, 0);
    return seen;
  }
}
