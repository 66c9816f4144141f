import { written } from "../language.js";
import { message } from "./messages.js";

const AS_TAKEN = { brightness: 0, contrast: 0, isGreen: false };

// How the picture is shown: its brightness and contrast in percent above or below those of the image, and
// whether through a green filter. It is of the display only: no file, outline or download has it. Dispatches
// "change".
export class Adjustments extends EventTarget {
  #values = { ...AS_TAKEN };

  get values() {
    return this.#values;
  }

  // Whether the picture is shown as it was taken.
  get isNone() {
    return Object.entries(AS_TAKEN).every(([name, value]) => this.#values[name] === value);
  }

  // Return in words how the picture differs from the image, or "".
  get sentence() {
    const { brightness, contrast, isGreen } = this.#values;
    const changes = [
      isGreen ? message("adjusted.green") : "",
      brightness === 0 ? "" : message("adjusted.brightness", { percent: signed(brightness) }),
      contrast === 0 ? "" : message("adjusted.contrast", { percent: signed(contrast) }),
    ];
    return this.isNone ? "" : message("adjusted", { changes: changes.filter((words) => words !== "").join(", ") });
  }

  // Change some of the values.
  set(values) {
    this.#values = { ...this.#values, ...values };
    this.dispatchEvent(new Event("change"));
  }

  // Show the picture as it was taken.
  reset() {
    if (!this.isNone) this.set(AS_TAKEN);
  }
}

// Return a number of percent with its sign, as "+20 %".
export function signed(percent) {
  const sign = percent > 0 ? "+" : percent < 0 ? "−" : "";
  return message("zoom", { percent: `${sign}${written(Math.abs(percent))}` });
}
