import { written } from "../language.js";
import { message } from "./messages.js";

// The scales that were given, by the answer of their image: a study may be made again.
const scales = new WeakMap();
// Millimetres: what a colposcope, a camera or a phone shows of a cervix is neither narrower nor wider.
const NARROWEST = 5;
const WIDEST = 200;
const ENDS = 2; // pixels by which a line may be wrong: one at each end
const MOST_DECIMALS = 2;

// How long a pixel of an image is: `millimetres`, or null where nobody said it. Lengths and areas are
// written with as many digits as the scale and the pixels allow.
export class Scale {
  #answer;

  constructor(answer) {
    this.#answer = answer;
  }

  get millimetres() {
    return scales.get(this.#answer)?.millimetres ?? null;
  }

  // Return the line that the scale came from, { pixels, millimetres }; null where it was typed.
  get line() {
    return scales.get(this.#answer)?.line ?? null;
  }

  // Keep millimetres for a pixel, with the line that they come from or null; null takes the scale away.
  set(millimetres, line = null) {
    if (millimetres === null) scales.delete(this.#answer);
    else scales.set(this.#answer, { millimetres, line });
  }

  // Return the width of the image in millimetres, in words, at so many for a pixel.
  widthAt(millimetres) {
    const width = this.#answer.image.width * millimetres;
    return written(width, width < 10 ? 1 : 0);
  }

  // Return why so many millimetres for a pixel cannot be right, or "".
  problemOf(millimetres) {
    const width = this.#answer.image.width * millimetres;
    if (width >= NARROWEST && width <= WIDEST) return "";
    return message("scale.extreme", { width: this.widthAt(millimetres), narrowest: NARROWEST, widest: WIDEST });
  }

  // Return a length in pixels with its unit, in millimetres where there is a scale.
  length(pixels) {
    const unit = this.millimetres === null ? "unit.length" : "unit.mm";
    return message(unit, { count: Math.round(pixels), value: this.#number(pixels) });
  }

  // Return two lengths with their unit, as "12 × 8 pixels".
  sides(width, height) {
    const unit = this.millimetres === null ? "unit.sides" : "unit.mm.sides";
    return message(unit, { width: this.#number(width), height: this.#number(height) });
  }

  area(pixels) {
    const { millimetres } = this;
    if (millimetres === null) return message("unit.area", { count: pixels, value: written(pixels) });
    const diameter = 2 * Math.sqrt(pixels / Math.PI); // of a circle with this area
    const value = pixels * millimetres ** 2;
    return message("unit.mm2", { value: rounded(value, 2 * value * this.#share(diameter)) });
  }

  #number(pixels) {
    if (this.millimetres === null) return written(Math.round(pixels));
    const value = pixels * this.millimetres;
    return rounded(value, value * this.#share(pixels));
  }

  // Return by which share a length of so many pixels may be wrong, with what the scale adds.
  #share(pixels) {
    return ENDS / pixels + (this.line === null ? 0 : shareOf(this.line.pixels));
  }
}

// Return by which share a scale may be wrong that comes from a line of so many pixels.
export function shareOf(pixels) {
  return ENDS / pixels;
}

// Return a number to the place of the first digit of its uncertainty, as measurements are written, and
// with at least one digit.
function rounded(value, uncertainty) {
  if (value === 0) return written(0);
  const digit = Math.min(Math.floor(Math.log10(uncertainty)), Math.floor(Math.log10(value)));
  const place = Math.max(digit, -MOST_DECIMALS);
  return written(Math.round(value / 10 ** place) * 10 ** place, Math.max(0, -place));
}
