import { recolour } from "./recolour.js";

const SIDE = 132; // CSS pixels of the longer side

// A small picture of the whole image that shows which part is in view, and moves it: by a click or by
// dragging. It is hidden while the whole image is shown.
export class Overview {
  #canvas;
  #viewport;
  #adjustments;
  #levels = null;

  constructor(canvas, viewport, adjustments) {
    this.#canvas = canvas;
    this.#viewport = viewport;
    this.#adjustments = adjustments;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.#go(event);
    });
    canvas.addEventListener("pointermove", (event) => event.buttons === 1 && this.#go(event));
  }

  open(levels) {
    this.#levels = levels;
    if (levels === null) {
      this.#canvas.hidden = true;
      return;
    }
    const { width, height } = levels;
    const scale = (SIDE * devicePixelRatio) / Math.max(width, height);
    this.#canvas.width = Math.max(1, Math.round(width * scale));
    this.#canvas.height = Math.max(1, Math.round(height * scale));
    this.#canvas.style.setProperty("width", `${this.#canvas.width / devicePixelRatio}px`);
  }

  paint() {
    this.#canvas.hidden = this.#levels === null || this.#viewport.isFit;
    if (this.#canvas.hidden) return;
    const context = this.#canvas.getContext("2d");
    const { width, height } = this.#canvas;
    const { x, y, scale, imageWidth } = this.#viewport;
    const share = width / imageWidth;
    context.drawImage(this.#levels.smallest, 0, 0, width, height);
    if (!this.#adjustments.isNone) recolour(context, [0, 0, width, height], this.#adjustments.values);
    const [wide, high] = [(this.#viewport.width / scale) * share, (this.#viewport.height / scale) * share];
    for (const [line, colour] of [[4, "rgb(20 20 20)"], [2, "rgb(255 255 255)"]]) {
      context.lineWidth = line * devicePixelRatio;
      context.strokeStyle = colour;
      context.strokeRect(x * share - wide / 2, y * share - high / 2, wide, high);
    }
  }

  #go({ offsetX, offsetY }) {
    const { imageWidth, imageHeight, scale } = this.#viewport;
    const { clientWidth, clientHeight } = this.#canvas;
    this.#viewport.set({ scale, x: (offsetX / clientWidth) * imageWidth, y: (offsetY / clientHeight) * imageHeight });
  }
}
