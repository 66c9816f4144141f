import { written } from "../language.js";
import { message } from "./messages.js";

// The panel in which a person gives the scale: millimetres for a pixel, or the length of the ruler's
// line. `onChange` is called with the new millimetres for a pixel, or null; `onRuler` where a line is
// to be drawn first.
export class ScalePanel {
  #element;
  #onChange;
  #scale = null;
  #length = null;

  constructor(element, onChange, onRuler) {
    this.#element = element;
    this.#onChange = onChange;
    this.#part(".viewer-scale-ruler").addEventListener("click", onRuler);
    this.#part(".viewer-scale-none").addEventListener("click", () => onChange(null));
    this.#submit(".viewer-scale-pixel", (value) => value);
    this.#submit(".viewer-scale-line", (value) => (this.#length === null ? null : value / this.#length));
  }

  // Show the scale, and the length in pixels of the ruler's line or null.
  show(scale, length) {
    this.#scale = scale;
    this.#length = length;
    const { millimetres } = scale;
    this.#part(".viewer-scale-pixel input").value = millimetres === null ? "" : plain(millimetres);
    this.#part(".viewer-scale-none").hidden = millimetres === null;
    this.#part(".viewer-scale-line").hidden = length === null;
    this.#part(".viewer-scale-ruler").hidden = length !== null;
    this.#part(".viewer-scale-length").textContent =
      length === null
        ? message("scale.noLine")
        : message("scale.line", { length: message("unit.length", { count: length, value: written(length, 1) }) });
    this.#part(".problem").hidden = true;
  }

  #submit(selector, millimetresOf) {
    const form = this.#part(selector);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const value = Number(form.querySelector("input").value.trim().replace(",", "."));
      const isRight = Number.isFinite(value) && value > 0;
      this.#part(".problem").hidden = isRight;
      this.#part(".problem").textContent = isRight ? "" : message("scale.wrong");
      if (isRight) this.#onChange(millimetresOf(value));
      else form.querySelector("input").focus();
    });
  }

  #part(selector) {
    return this.#element.querySelector(selector);
  }
}

// Return a number with the digits that a person may have typed.
function plain(number) {
  return String(Number(number.toPrecision(6)));
}
