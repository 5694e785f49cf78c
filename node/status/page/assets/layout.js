// Where the nodes of a graph go: distances on the page are as those along the links (stress majorization: Gansner, Koren and North,
// "Graph Drawing by Stress Majorization", 2004). The same graph always looks the same.

// distances returns the number of links between any two of n nodes.
function distances(n, links) {
  const near = Array.from({ length: n }, () => []);
  for (const [a, b] of links) {
    near[a].push(b);
    near[b].push(a);
  }
  return near.map((_, from) => {
    const far = new Array(n).fill(Infinity);
    far[from] = 0;
    for (let queue = [from]; queue.length > 0; ) {
      const at = queue.shift();
      for (const b of near[at]) {
        if (far[b] === Infinity) {
          far[b] = far[at] + 1;
          queue.push(b);
        }
      }
    }
    const longest = Math.max(1, ...far.filter(Number.isFinite));
    return far.map((d) => (d === Infinity ? longest + 1 : d));
  });
}

const stress = (p, far) => {
  let sum = 0;
  for (let i = 0; i < p.length; i++) {
    for (let j = 0; j < i; j++) sum += (Math.hypot(p[i][0] - p[j][0], p[i][1] - p[j][1]) - far[i][j]) ** 2 / far[i][j] ** 2;
  }
  return sum;
};

function settle(p, far) {
  const n = p.length;
  for (let round = 0, before = Infinity; round < 300; round++) {
    for (let i = 0; i < n; i++) {
      let x = 0, y = 0, weight = 0;
      for (let j = 0; j < n; j++) {
        if (j === i) continue;
        const w = far[i][j] ** -2, dx = p[i][0] - p[j][0], dy = p[i][1] - p[j][1], d = Math.hypot(dx, dy) || 1e-9;
        x += w * (p[j][0] + (far[i][j] * dx) / d);
        y += w * (p[j][1] + (far[i][j] * dy) / d);
        weight += w;
      }
      p[i] = [x / weight, y / weight];
    }
    const now = stress(p, far);
    if (before - now < 1e-6 * before) break;
    before = now;
  }
  return p;
}

// layout returns points for n nodes and links between their numbers, the widest way of the graph lying along the x axis.
export function layout(n, links) {
  if (n < 2) return n === 1 ? [[0, 0]] : [];
  const far = distances(n, links);
  let best = null, least = Infinity;
  for (let start = 0; start < (n > 60 ? 2 : 8); start++) { // from circles in other orders, for the first may be a bad one
    const step = start === 0 ? 1 : 1 + start * 2;
    const circle = far.map((_, i) => {
      const angle = (2 * Math.PI * ((i * step) % n)) / n + i * 1e-3 + start;
      return [(Math.cos(angle) * n) / 6, (Math.sin(angle) * n) / 6];
    });
    const p = settle(circle, far), s = stress(p, far);
    if (s < least - 1e-6) [best, least] = [p, s];
  }
  const mx = best.reduce((s, p) => s + p[0], 0) / n, my = best.reduce((s, p) => s + p[1], 0) / n;
  let xx = 0, xy = 0, yy = 0;
  for (const p of best) {
    p[0] -= mx;
    p[1] -= my;
    xx += p[0] * p[0];
    xy += p[0] * p[1];
    yy += p[1] * p[1];
  }
  const turn = -Math.atan2(2 * xy, xx - yy) / 2, c = Math.cos(turn), s = Math.sin(turn);
  best = best.map(([x, y]) => [c * x - s * y, s * x + c * y]);
  const flipX = best[0][0] > 0 ? -1 : 1, flipY = best[0][1] > 0 ? -1 : 1; // the first node is up and left
  return best.map(([x, y]) => [x * flipX, y * flipY]);
}
