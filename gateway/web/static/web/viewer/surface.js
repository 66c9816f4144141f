// A canvas that has a pixel for each pixel of the screen, and is painted before the next frame after
// something changed, never otherwise.
export class Surface {
  #canvas;
  #context;
  #paint;
  #frame = 0;
  #onResize;
  #observer;

  // `paint` gets the canvas's context; `onResize` the new width and height in device pixels.
  constructor(canvas, paint, onResize) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { alpha: false });
    this.#paint = paint;
    this.#onResize = onResize;
    this.#observer = new ResizeObserver(() => this.measure());
    this.#observer.observe(canvas.parentElement);
  }

  // Take the size that the layout gives the canvas now.
  measure() {
    const { width, height } = this.#canvas.parentElement.getBoundingClientRect();
    const [columns, rows] = [width, height].map((length) => Math.round(length * devicePixelRatio));
    if (columns > 0 && rows > 0) this.#onResize(columns, rows);
  }

  resize(width, height) {
    if (this.#canvas.width !== width) this.#canvas.width = width;
    if (this.#canvas.height !== height) this.#canvas.height = height;
    this.invalidate();
  }

  invalidate() {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#paint(this.#context);
    });
  }

  release() {
    cancelAnimationFrame(this.#frame);
    this.#observer.disconnect();
  }
}
