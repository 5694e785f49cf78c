// A colour for each server. Red is left out: it is for what is broken.

const hues = [258, 62, 158, 325, 205, 110, 290, 85, 180, 345, 232, 135];

// toRGB converts OKLCH to sRGB bytes (Björn Ottosson, "A perceptual color space for image processing").
function toRGB(l, c, h) {
  const a = c * Math.cos((h * Math.PI) / 180), b = c * Math.sin((h * Math.PI) / 180);
  const L = (l + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const M = (l - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const S = (l - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * L - 3.3077115913 * M + 0.2309699292 * S,
    -1.2684380046 * L + 2.6097574011 * M - 0.3413193965 * S,
    -0.0041960863 * L - 0.7034186147 * M + 1.707614701 * S,
  ].map((v) => Math.round(255 * Math.min(1, Math.max(0, v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055))));
}

const nobody = { true: [140, 140, 140], false: [110, 110, 110] };

// Palette gives servers colours in the order of the topology, the same on every node's page.
export class Palette {
  names = [];
  index = new Map();
  dark = false;

  // name sets the servers of the topology. A server that is met later, as the origin of a report, comes behind.
  name(names) {
    for (const n of names) this.of(n);
  }

  // of returns the number of a server.
  of(name) {
    let i = this.index.get(name);
    if (i === undefined) {
      i = this.names.length;
      this.names.push(name);
      this.index.set(name, i);
    }
    return i;
  }

  // rgb returns the colour of the server with a number.
  rgb(i) {
    if (i >= 4 * hues.length) return nobody[this.dark];
    const round = Math.floor(i / hues.length); // further rounds differ in lightness
    const h = hues[i % hues.length] + 12 * round;
    return this.dark ? toRGB(0.76 - 0.11 * (round % 3), 0.135, h) : toRGB(0.56 - 0.09 * (round % 3) + (round === 0 ? 0 : 0.02), 0.15, h);
  }

  css(i, alpha = 1) {
    const [r, g, b] = this.rgb(i);
    return alpha === 1 ? `rgb(${r} ${g} ${b})` : `rgb(${r} ${g} ${b} / ${alpha})`;
  }
}
