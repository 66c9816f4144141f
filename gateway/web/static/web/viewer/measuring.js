import { language } from "../language.js";
import { message } from "./messages.js";
import { Ruler } from "./ruler.js";
import { Scale } from "./scale.js";
import { ScalePanel } from "./scale_panel.js";

const DIGITS = { maximumSignificantDigits: 6 };

// The ruler and the scale of an image. Dispatches "scale" when a person gives another one, "draw" when
// a line is to be drawn for that, "change" when the ruler's line is another one, "measured" when it is
// complete and "quit" when the ruler is to be put away. `announce` tells words to a person who uses a
// screen reader.
export class Measuring extends EventTarget {
  #panel;
  #announce;
  scale = null;

  constructor(panel, viewport, announce) {
    super();
    this.#announce = announce;
    this.#panel = new ScalePanel(
      panel,
      (millimetres) => this.#set(millimetres),
      () => this.dispatchEvent(new Event("draw")),
    );
    this.ruler = new Ruler(viewport, () => this.scale);
    this.ruler.addEventListener("change", () => {
      this.dispatchEvent(new Event("change"));
      if (!panel.hidden) this.show();
    });
    this.ruler.addEventListener("first", () => announce(message("ruler.first")));
    this.ruler.addEventListener("measured", () => {
      announce(message("ruler.length", { length: this.scale.length(this.ruler.length) }));
      this.dispatchEvent(new Event("measured"));
    });
    this.ruler.addEventListener("quit", () => this.dispatchEvent(new Event("quit")));
  }

  // Measure in the image of this study from now on.
  open(study) {
    this.scale = study && new Scale(study.answer);
  }

  // Show the scale in its panel.
  show() {
    this.#panel.show(this.scale, this.ruler.length);
  }

  // Return the measurements of a lesion in a sentence.
  sentence({ area, measurements: { width, height, diameter } }) {
    const values = { area: this.scale.area(area), width: this.scale.length(width), height: this.scale.length(height) };
    if (diameter === null) return message("measurements.box", values);
    return message("measurements", { ...values, diameter: this.scale.length(diameter) });
  }

  #set(millimetres) {
    this.scale.set(millimetres);
    this.show();
    this.dispatchEvent(new Event("scale"));
    const value = millimetres?.toLocaleString(language, DIGITS);
    this.#announce(message(millimetres === null ? "scale.none" : "scale.set", { value }));
  }
}
