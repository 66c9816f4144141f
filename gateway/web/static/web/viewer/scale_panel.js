import { written } from "../language.js";
import { message } from "./messages.js";
import { shareOf } from "./scale.js";

// The panel in which a person gives the scale: the length of the ruler's line, or else millimetres for a
// pixel. `onChange` is called with the new millimetres for a pixel or null, and the line that they come
// from, { pixels, millimetres }, or null; `onRuler` where a line is to be drawn first.
export class ScalePanel {
  #element;
  #onChange;
  #scale = null;
  #length = null;

  constructor(element, onChange, onRuler) {
    this.#element = element;
    this.#onChange = onChange;
    this.#part(".viewer-scale-ruler").addEventListener("click", onRuler);
    this.#part(".viewer-scale-none").addEventListener("click", () => onChange(null, null));
    this.#listen(".viewer-scale-line", (typed) => [typed / this.#length, { pixels: this.#length, millimetres: typed }]);
    this.#listen(".viewer-scale-pixel", (typed) => [typed, null]);
  }

  // Show the scale, and the length in pixels of the ruler's line or null. What is typed stays.
  show(scale, length) {
    this.#scale = scale;
    this.#length = length;
    this.#part(".viewer-scale-none").hidden = scale.millimetres === null;
    this.#part(".viewer-scale-line").hidden = length === null;
    const button = this.#part(".viewer-scale-ruler");
    button.textContent = message(length === null ? "scale.draw" : "scale.redraw");
    button.classList.toggle("filled", length === null);
    const pixels = message("unit.length", { count: Math.round(length), value: written(Math.round(length)) });
    const words = length === null ? message("scale.noLine") : message("scale.line", { length: pixels });
    this.#part(".viewer-scale-length").textContent = words;
    this.#tell("", "");
  }

  // Empty the fields, and move the focus to what comes next: the line, or its length.
  enter() {
    const { millimetres } = this.#scale;
    this.#part(".viewer-scale-line input").value = "";
    this.#part(".viewer-scale-pixel input").value = millimetres === null ? "" : plain(millimetres);
    if (millimetres !== null) this.#tell(message("scale.is", { width: this.#scale.widthAt(millimetres) }), "");
    this.#part(this.#length === null ? ".viewer-scale-ruler" : ".viewer-scale-line input").focus({ preventScroll: true });
  }

  // `scaleOf` returns from the typed number the two arguments of `onChange`.
  #listen(selector, scaleOf) {
    const form = this.#part(selector);
    const field = form.querySelector("input");
    const typed = () => Number(field.value.trim().replace(",", "."));
    const isNumber = () => Number.isFinite(typed()) && typed() > 0;
    field.addEventListener("input", () => this.#tell(isNumber() ? this.#preview(...scaleOf(typed())) : "", ""));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const problem = isNumber() ? this.#scale.problemOf(scaleOf(typed())[0]) : message("scale.wrong");
      this.#tell("", problem);
      if (problem === "") this.#onChange(...scaleOf(typed()));
      else field.focus();
    });
  }

  // Return what a scale means for the image, by which a person can see whether it is right.
  #preview(millimetres, line) {
    const width = this.#scale.widthAt(millimetres);
    if (line === null) return message("scale.width", { width });
    const percent = written(Math.ceil(shareOf(line.pixels) * 100));
    return message("scale.width.line", { width, percent });
  }

  #tell(preview, problem) {
    this.#part(".viewer-scale-width").textContent = preview;
    this.#part(".problem").textContent = problem;
    this.#part(".problem").hidden = problem === "";
  }

  #part(selector) {
    return this.#element.querySelector(selector);
  }
}

// Return a number with the digits that a person may have typed.
function plain(number) {
  return String(Number(number.toPrecision(6)));
}
