// Each function is called once before the next frame, however often it was requested, and never in a hidden tab.

const waiting = new Set();
let requested = false;

function run(now) {
  requested = false;
  const due = [...waiting];
  waiting.clear();
  for (const f of due) f(now);
}

// soon has f called before the next frame.
export function soon(f) {
  waiting.add(f);
  if (!requested) {
    requested = true;
    requestAnimationFrame(run);
  }
}

const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

// still returns whether the viewer prefers that nothing moves.
export const still = () => reducedMotion.matches;

// observeSize calls f with the width and height of an element in CSS pixels, at first and when that changes.
export function observeSize(element, f) {
  new ResizeObserver(([entry]) => f(entry.contentRect.width, entry.contentRect.height)).observe(element);
}
