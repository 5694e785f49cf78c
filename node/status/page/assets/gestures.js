// What hands do on the map: mouse, wheel, one or two fingers, keys.

const step = 60; // pixels that an arrow key pans
const slack = 5; // pixels that a click may wander

export class Gestures {
  #down = new Map(); // pointers that touch the box
  #travelled = 0;

  // what has pan, zoom, fit, hover, pick, leave and middle; all points are relative to the box.
  constructor(box, what) {
    const at = (e) => {
      const r = box.getBoundingClientRect();
      return [e.clientX - r.left, e.clientY - r.top];
    };
    const ours = (e) => e.target === box || e.target instanceof HTMLCanvasElement;
    box.addEventListener("pointerdown", (e) => {
      if (!ours(e) || (e.pointerType === "mouse" && e.button !== 0)) return;
      if (this.#down.size === 0) this.#travelled = 0;
      this.#down.set(e.pointerId, at(e));
      box.setPointerCapture(e.pointerId);
    });
    box.addEventListener("pointermove", (e) => {
      const now = at(e), before = this.#down.get(e.pointerId);
      if (!before) {
        if (e.pointerType === "mouse" && ours(e)) what.hover(...now);
        return;
      }
      const others = [...this.#down].filter(([id]) => id !== e.pointerId);
      this.#travelled += Math.hypot(now[0] - before[0], now[1] - before[1]);
      this.#down.set(e.pointerId, now);
      if (others.length === 0) {
        if (this.#travelled > slack) what.pan(now[0] - before[0], now[1] - before[1]);
        return;
      }
      const [, [x, y]] = others[0];
      this.#travelled = Infinity;
      const spread = Math.hypot(now[0] - x, now[1] - y) / (Math.hypot(before[0] - x, before[1] - y) || 1);
      what.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
      what.zoom(spread, (now[0] + x) / 2, (now[1] + y) / 2);
    });
    const up = (e) => {
      if (!this.#down.delete(e.pointerId) || this.#down.size > 0) return;
      if (e.type === "pointerup" && this.#travelled <= slack) what.pick(...at(e));
    };
    box.addEventListener("pointerup", up);
    box.addEventListener("pointercancel", up);
    box.addEventListener("pointerleave", () => this.#down.size === 0 && what.leave());
    box.addEventListener("dblclick", (e) => ours(e) && what.zoom(2, ...at(e)));
    box.addEventListener("wheel", (e) => {
      const lines = e.deltaMode === 1 ? 16 : e.deltaMode === 2 ? 400 : 1;
      const factor = Math.exp(-Math.max(-200, Math.min(200, e.deltaY * lines)) / (e.ctrlKey ? 100 : 300));
      if (what.zoom(factor, ...at(e))) e.preventDefault(); // else the page scrolls on
    }, { passive: false });
    const keys = {
      ArrowLeft: () => what.pan(step, 0),
      ArrowRight: () => what.pan(-step, 0),
      ArrowUp: () => what.pan(0, step),
      ArrowDown: () => what.pan(0, -step),
      "+": () => what.zoom(1.5),
      "=": () => what.zoom(1.5),
      "-": () => what.zoom(1 / 1.5),
      0: () => what.fit(),
      Enter: () => what.pick(...what.middle()),
    };
    box.addEventListener("keydown", (e) => {
      if (e.target !== box || e.ctrlKey || e.altKey || e.metaKey || !keys[e.key]) return;
      e.preventDefault();
      keys[e.key]();
    });
  }
}
