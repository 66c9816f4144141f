import { message } from "./messages.js";
import { Ruler } from "./ruler.js";
import { Scale } from "./scale.js";
import { ScalePanel } from "./scale_panel.js";

// The ruler and the scale of an image. Dispatches "scale" when a person gives another one, "draw" when
// a line is to be drawn for that and "ask" when its length is to be asked for, "change" when the ruler's
// line is another one, and "quit" when the ruler is to be put away. `announce` tells words to a person
// who uses a screen reader.
export class Measuring extends EventTarget {
  #element;
  #panel;
  #viewport;
  #announce;
  scale = null;
  isScaling = false; // whether the ruler's line is drawn for the scale

  constructor(panel, viewport, announce) {
    super();
    this.#element = panel;
    this.#viewport = viewport;
    this.#announce = announce;
    this.#panel = new ScalePanel(
      panel,
      (millimetres, line) => this.#set(millimetres, line),
      () => {
        this.dispatchEvent(new Event("draw"));
        this.isScaling = true;
      },
    );
    this.ruler = new Ruler(viewport, () => this.scale);
    this.ruler.addEventListener("change", () => {
      this.dispatchEvent(new Event("change"));
      if (!panel.hidden) this.#show();
    });
    this.ruler.addEventListener("first", () => announce(message("ruler.first")));
    this.ruler.addEventListener("measured", () => {
      announce(message("ruler.length", { length: this.scale.length(this.ruler.length) }));
      if (this.isScaling) this.dispatchEvent(new Event("ask"));
      this.isScaling = false;
    });
    this.ruler.addEventListener("quit", () => this.dispatchEvent(new Event("quit")));
  }

  // Measure in the image of this study from now on.
  open(study) {
    this.scale = study && new Scale(study.answer);
  }

  // Ask for the scale in its panel, which is open, beside the ruler's line.
  ask() {
    const { line } = this.ruler;
    const [x, y] = line === null ? [0, 0] : this.#viewport.toScreen([(line[0] + line[2]) / 2, (line[1] + line[3]) / 2]);
    this.#element.classList.toggle("left", x > this.#viewport.width / 2);
    this.#element.classList.toggle("low", line !== null && y < this.#viewport.height / 2);
    this.#show();
    this.#panel.enter();
  }

  // Return the measurements of a lesion in a sentence.
  sentence({ area, measurements: { width, height, diameter } }) {
    const values = { area: this.scale.area(area), width: this.scale.length(width), height: this.scale.length(height) };
    if (diameter === null) return message("measurements.box", values);
    return message("measurements", { ...values, diameter: this.scale.length(diameter) });
  }

  #show() {
    this.#panel.show(this.scale, this.ruler.length);
  }

  #set(millimetres, line) {
    this.scale.set(millimetres, line);
    this.dispatchEvent(new Event("scale"));
    const width = millimetres === null ? "" : this.scale.widthAt(millimetres);
    this.#announce(message(millimetres === null ? "scale.none" : "scale.set", { width }));
  }
}
