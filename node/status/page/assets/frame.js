// What is to be drawn is drawn once before the next frame, however often it was asked for, and never in a hidden tab.

const waiting = new Set();
let asked = false;

function run(now) {
  asked = false;
  const due = [...waiting];
  waiting.clear();
  for (const f of due) f(now);
}

// soon has f called before the next frame.
export function soon(f) {
  waiting.add(f);
  if (!asked) {
    asked = true;
    requestAnimationFrame(run);
  }
}

const calm = matchMedia("(prefers-reduced-motion: reduce)");

// still tells whether the viewer wants nothing to move.
export const still = () => calm.matches;

// observeSize calls f with the width and height of an element in CSS pixels, at first and when that changes.
export function observeSize(element, f) {
  new ResizeObserver(([entry]) => f(entry.contentRect.width, entry.contentRect.height)).observe(element);
}
