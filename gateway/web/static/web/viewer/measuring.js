import { LineList } from "./line_list.js";
import { Lines } from "./lines.js";
import { message } from "./messages.js";
import { Ruler } from "./ruler.js";
import { Scale } from "./scale.js";
import { ScalePanel } from "./scale_panel.js";

// The ruler, the lines that it measured and the scale of an image. Dispatches "scale" when a person gives
// another one, "draw" when a line is to be drawn for that and "ask" when its length is to be asked for,
// "change" when a line is another one, and "quit" when the ruler is to be put away. `part` returns the
// element of the viewer for a selector, and `announce` tells words to a person who uses a screen reader.
export class Measuring extends EventTarget {
  #element;
  #panel;
  #viewport;
  #announce;
  #hint;
  #list;
  #lineOfScale = null; // it is not kept
  scale = null;
  lines = null;
  isScaling = false; // whether the ruler's line is drawn for the scale

  constructor(part, viewport, announce) {
    super();
    const panel = part(".viewer-scale");
    this.#element = panel;
    this.#hint = part(".viewer-hint");
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
    this.#list = new LineList(part(".viewer-lines"), part(".viewer-picture"), (line) => this.#remove(line));
    this.ruler = this.#makeRuler();
  }

  // Measure in the image of this study from now on.
  open(study) {
    this.scale = study && new Scale(study.answer);
    this.lines = study && new Lines(study.answer);
    this.#list.show(this.lines?.all ?? [], this.scale);
  }

  // Ask for the scale in its panel, which is open, beside the ruler's line.
  ask() {
    const ends = this.ruler.line?.ends ?? null;
    const [x, y] = ends === null ? [0, 0] : this.#viewport.toScreen([(ends[0] + ends[2]) / 2, (ends[1] + ends[3]) / 2]);
    this.#element.classList.toggle("left", x > this.#viewport.width / 2);
    this.#element.classList.toggle("low", ends !== null && y < this.#viewport.height / 2);
    this.#show();
    this.#panel.enter();
  }

  // Return the measurements of a lesion in a sentence.
  sentence({ area, measurements: { width, height, diameter } }) {
    const values = { area: this.scale.area(area), width: this.scale.length(width), height: this.scale.length(height) };
    if (diameter === null) return message("measurements.box", values);
    return message("measurements", { ...values, diameter: this.scale.length(diameter) });
  }

  #makeRuler() {
    const ruler = new Ruler(this.#viewport, this);
    ruler.addEventListener("change", () => {
      this.dispatchEvent(new Event("change"));
      if (!this.#element.hidden) this.#show();
    });
    ruler.addEventListener("first", () => this.#announce(message("ruler.first")));
    ruler.addEventListener("measured", () => this.#measured(ruler.line));
    ruler.addEventListener("remove", () => this.#remove(ruler.line));
    ruler.addEventListener("quit", () => this.dispatchEvent(new Event("quit")));
    return ruler;
  }

  // Keep a line that is new, unless it was drawn for the scale. Whoever drew one needs no hint.
  #measured(line) {
    this.#hint.hidden = true;
    this.#announce(message("ruler.length", { length: this.scale.length(this.ruler.length) }));
    if (this.isScaling) this.#lineOfScale = line;
    else if (line.number === null && line !== this.#lineOfScale) this.lines.keep(line);
    if (this.isScaling) this.dispatchEvent(new Event("ask"));
    this.isScaling = false;
    this.#list.show(this.lines.all, this.scale);
  }

  #remove(line) {
    this.lines.remove(line);
    if (this.ruler.line === line) this.ruler.clear();
    this.#list.show(this.lines.all, this.scale);
    this.dispatchEvent(new Event("change"));
    this.#announce(message("line.removed", { number: line.number }));
  }

  #show() {
    this.#panel.show(this.scale, this.ruler.length);
  }

  #set(millimetres, line) {
    this.scale.set(millimetres, line);
    this.#list.show(this.lines.all, this.scale);
    this.dispatchEvent(new Event("scale"));
    const width = millimetres === null ? "" : this.scale.widthAt(millimetres);
    this.#announce(message(millimetres === null ? "scale.none" : "scale.set", { width }));
  }
}
