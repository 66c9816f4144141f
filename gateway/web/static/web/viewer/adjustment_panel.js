import { signed } from "./adjustments.js";
import { message } from "./messages.js";

const SLIDERS = ["brightness", "contrast"];

// The panel in which a person adjusts the picture, and the words over the picture that say how it differs
// from the image, with the button that takes it all back. `part` returns the element of the viewer for a
// selector, and `announce` tells words to a person who uses a screen reader.
export class AdjustmentPanel {
  #part;
  #adjustments;
  #announce;

  constructor(part, adjustments, announce) {
    this.#part = part;
    this.#adjustments = adjustments;
    this.#announce = announce;
    for (const name of SLIDERS) {
      this.#slider(name).addEventListener("input", ({ target }) => adjustments.set({ [name]: Number(target.value) }));
    }
    this.#green.addEventListener("change", () => adjustments.set({ isGreen: this.#green.checked }));
    part(".viewer-adjusted button").addEventListener("click", () => this.#reset());
    adjustments.addEventListener("change", () => this.#show());
    this.#show();
  }

  switchGreen() {
    const isGreen = !this.#adjustments.values.isGreen;
    this.#adjustments.set({ isGreen });
    this.#announce(isGreen ? this.#adjustments.sentence : message("adjusted.noGreen"));
  }

  #reset() {
    this.#adjustments.reset();
    this.#announce(message("adjusted.none"));
    this.#part(".viewer-picture").focus({ preventScroll: true }); // the button is gone
  }

  #show() {
    const { values, isNone, sentence } = this.#adjustments;
    for (const name of SLIDERS) {
      const slider = this.#slider(name);
      slider.value = values[name];
      slider.ariaValueText = signed(values[name]);
      slider.closest("label").querySelector("b").textContent = signed(values[name]);
    }
    this.#green.checked = values.isGreen;
    this.#part(".viewer-adjusted").hidden = isNone;
    this.#part(".viewer-adjusted span").textContent = sentence;
  }

  get #green() {
    return this.#part(".viewer-green input");
  }

  #slider(name) {
    return this.#part(`[data-adjust=${name}]`);
  }
}
