import { message } from "./messages.js";
import { Ruler } from "./ruler.js";
import { Scale } from "./scale.js";
import { ScalePanel } from "./scale_panel.js";

// The ruler and the scale of an image. Dispatches "scale" when a person gives another one, "ruler" when
// a person ends or starts the ruler from here, and "change" when the line is another one; `announce`
// tells a line to a person who uses a screen reader.
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
      () => this.dispatchEvent(new Event("ruler")),
    );
    this.ruler = new Ruler(viewport, () => this.scale);
    this.ruler.addEventListener("change", () => {
      this.dispatchEvent(new Event("change"));
      if (!panel.hidden) this.show();
    });
    this.ruler.addEventListener("first", () => announce(message("ruler.first")));
    this.ruler.addEventListener("measured", () =>
      announce(message("ruler.length", { length: this.scale.length(this.ruler.length) })),
    );
    this.ruler.addEventListener("quit", () => this.dispatchEvent(new Event("ruler")));
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
    this.#announce(message(millimetres === null ? "scale.none" : "scale.set", { value: millimetres }));
  }
}
