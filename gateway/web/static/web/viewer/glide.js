const DURATION_MS = 180;

const calm = matchMedia("(prefers-reduced-motion: reduce)");

// Moves a viewport to another view in a moment, or at once for a person who wants no motion.
export class Glide {
  #viewport;
  #frame = 0;

  constructor(viewport) {
    this.#viewport = viewport;
  }

  to(view) {
    this.stop();
    const target = this.#viewport.allowed(view);
    if (calm.matches) {
      this.#viewport.set(target);
      return;
    }
    const { scale, x, y } = this.#viewport;
    if (target.scale === scale && target.x === x && target.y === y) return; // else a change of the layout is undone
    const started = performance.now();
    const step = (now) => {
      const share = Math.min(1, Math.max(0, (now - started) / DURATION_MS));
      const eased = 1 - (1 - share) ** 3;
      const between = scale * (target.scale / scale) ** eased;
      // A place moves on the screen as the scale does, so that zooming keeps the pointer's place.
      const way = between === scale || target.scale === scale ? eased : (1 / scale - 1 / between) / (1 / scale - 1 / target.scale);
      this.#viewport.set({ scale: between, x: x + (target.x - x) * way, y: y + (target.y - y) * way });
      this.#frame = share < 1 ? requestAnimationFrame(step) : 0;
    };
    this.#frame = requestAnimationFrame(step);
  }

  stop() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }
}
