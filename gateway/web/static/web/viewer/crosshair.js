import { ARROWS } from "./keys.js";

const STEP = 12; // CSS pixels

// The place that arrow keys move while a tool is used without a pointer; null until one is pressed.
export class Crosshair {
  #viewport;

  constructor(viewport) {
    this.#viewport = viewport;
    this.place = null;
  }

  // Move by an arrow key, by a pixel of the image with Shift. Return whether it was one.
  key({ key, shiftKey }) {
    const arrow = ARROWS[key];
    if (!arrow) return false;
    this.place ??= [this.#viewport.x, this.#viewport.y];
    this.place = moved(this.place, arrow, shiftKey, this.#viewport);
    keepInView(this.#viewport, this.place);
    return true;
  }

  paint(context, ratio) {
    if (this.place === null) return;
    const [x, y] = this.#viewport.toScreen(this.place);
    context.setTransform(1, 0, 0, 1, 0, 0);
    for (const [width, colour] of [[4, "rgb(20 20 20)"], [1.5, "rgb(255 255 255)"]]) {
      context.lineWidth = width * ratio;
      context.strokeStyle = colour;
      context.beginPath();
      for (const [right, down] of Object.values(ARROWS)) {
        context.moveTo(x + 3 * ratio * right, y + 3 * ratio * down);
        context.lineTo(x + 14 * ratio * right, y + 14 * ratio * down);
      }
      context.stroke();
    }
  }
}

// Return a place of the image, moved by an arrow and kept in the image.
export function moved([x, y], [right, down], isFine, { scale, imageWidth, imageHeight }) {
  const step = isFine ? 1 : Math.max(1, Math.round((STEP * devicePixelRatio) / scale));
  return [clamp(x + right * step, imageWidth), clamp(y + down * step, imageHeight)];
}

export function keepInView(viewport, [x, y]) {
  const reach = 20 / viewport.scale;
  const view = viewport.showing([x - reach, y - reach, x + reach, y + reach]);
  viewport.set({ ...view, scale: viewport.scale });
}

export function clamp(value, most) {
  return Math.min(Math.max(value, 0), most);
}
