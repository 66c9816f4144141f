import { written } from "../language.js";
import { message } from "./messages.js";

// The scales that were given, by the answer of their image: a study may be made again.
const scales = new WeakMap();

// How long a pixel of an image is: `millimetres`, or null where nobody said it.
export class Scale {
  #answer;

  constructor(answer) {
    this.#answer = answer;
  }

  get millimetres() {
    return scales.get(this.#answer) ?? null;
  }

  set(millimetres) {
    if (millimetres === null) scales.delete(this.#answer);
    else scales.set(this.#answer, millimetres);
  }

  // Return a length in pixels with its unit, in millimetres where there is a scale.
  length(pixels) {
    const value = this.#number(pixels);
    return message(this.millimetres === null ? "unit.length" : "unit.mm", { count: pixels, value });
  }

  // Return two lengths with their unit, as "12 × 8 pixels".
  sides(width, height) {
    const { millimetres } = this;
    const values = [width, height].map((side) => this.#number(side));
    return message(millimetres === null ? "unit.sides" : "unit.mm.sides", { width: values[0], height: values[1] });
  }

  area(pixels) {
    const { millimetres } = this;
    if (millimetres === null) return message("unit.area", { count: pixels, value: written(pixels) });
    const value = pixels * millimetres ** 2;
    return message("unit.mm2", { value: written(value, value < 10 ? 2 : 1) });
  }

  #number(pixels) {
    if (this.millimetres === null) return written(pixels, Number.isInteger(pixels) ? 0 : 1);
    const value = pixels * this.millimetres;
    return written(value, value < 10 ? 2 : 1);
  }
}
