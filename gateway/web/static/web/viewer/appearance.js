import { message } from "./messages.js";

// How a person wants to see the lesions, and whether the original beside them. `onChange` is called
// after each change, and `announce` tells it to a person who uses a screen reader.
export class Appearance {
  #screen;
  #original;
  #announce;
  #onChange;

  // `original` is the pane of the original.
  constructor(screen, original, announce, onChange) {
    this.#screen = screen;
    this.#original = original;
    this.#announce = announce;
    this.#onChange = onChange;
  }

  get style() {
    return this.#screen.style;
  }

  get isOriginalShown() {
    return !this.#original.hidden;
  }

  switchOverlay() {
    this.style.isDrawn = !this.style.isDrawn;
    this.#changed(this.style.isDrawn ? "on" : "off");
  }

  switchStyle() {
    this.style.style = this.style.style === "fill" ? "outline" : "fill";
    this.#changed(`style.${this.style.style}`);
  }

  // Set the opacity, 0 to 1, of the present style.
  setOpacity(opacity) {
    this.style.opacity[this.style.style] = opacity;
    this.#changed(null);
  }

  switchOriginal() {
    this.#original.hidden = !this.#original.hidden;
    this.#changed(this.isOriginalShown ? "original.on" : "original.off");
  }

  #changed(key) {
    if (key !== null) this.#announce(message(key));
    this.#screen.invalidate();
    this.#onChange();
  }
}
