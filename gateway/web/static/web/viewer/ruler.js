import { Crosshair } from "./crosshair.js";
import { lengthOf } from "./measure.js";
import { paintLine } from "./painter.js";

// The tool that measures between two points. Dispatches "change" with each change of the line, "first"
// when its first point is set, "measured" when it is complete and "quit" when the person ends it.
export class Ruler extends EventTarget {
  #crosshair;
  #viewport;
  #scaleOf;
  #hold = null; // the end of the line that is dragged: 0 or 1
  #before = null; // the line before the drag
  line = null; // [x1, y1, x2, y2] in pixels of the image
  isOpen = false; // whether the second point is still to be set

  // `scaleOf` returns the scale of the image.
  constructor(viewport, scaleOf) {
    super();
    this.#viewport = viewport;
    this.#scaleOf = scaleOf;
    this.#crosshair = new Crosshair(viewport);
  }

  // Return the length in pixels of a complete line, else null.
  get length() {
    return this.line === null || this.isOpen ? null : lengthOf(this.line);
  }

  grab(place, reach) {
    this.#before = this.line;
    this.#hold = this.isOpen ? null : this.#endAt(place, reach);
    if (this.#hold === null && !this.isOpen) {
      this.line = [...place, ...place];
      this.#hold = 1;
    }
    return this.#hold !== null;
  }

  drag(place) {
    this.#place(this.#hold, place);
  }

  drop(isCancelled) {
    if (isCancelled) this.line = this.#before;
    this.#hold = null;
    if (isCancelled) this.#tell("change");
    else this.#finish();
  }

  tap(place) {
    if (this.isOpen) {
      this.#place(1, place);
      this.#finish();
      return;
    }
    this.line = [...place, ...place];
    this.isOpen = true;
    this.#tell("first");
    this.#tell("change");
  }

  hover(place) {
    if (this.isOpen && place !== null) this.#place(1, place);
  }

  // Return whether the key was one of the ruler.
  key(event) {
    if (this.#crosshair.key(event)) {
      this.hover(this.#crosshair.place);
      this.#tell("change");
      return true;
    }
    if (event.key === "Enter" || event.key === " ") {
      this.tap((this.#crosshair.place ??= [this.#viewport.x, this.#viewport.y]));
      return true;
    }
    if (event.key !== "Escape") return false;
    if (this.line === null) this.#tell("quit");
    else this.clear();
    return true;
  }

  clear() {
    this.line = null;
    this.isOpen = false;
    this.#crosshair.place = null;
    this.#tell("change");
  }

  paint(context, ratio) {
    if (this.line !== null) {
      const words = this.isOpen && lengthOf(this.line) === 0 ? "" : this.#scaleOf().length(lengthOf(this.line));
      paintLine(context, this.#viewport, this.line, words, ratio);
    }
    this.#crosshair.paint(context, ratio);
  }

  #finish() {
    this.isOpen = false;
    if (lengthOf(this.line) === 0) this.line = null;
    this.#tell("change");
    if (this.line !== null) this.#tell("measured");
  }

  #place(end, place) {
    this.line = end === 0 ? [...place, ...this.line.slice(2)] : [...this.line.slice(0, 2), ...place];
    this.#tell("change");
  }

  #endAt(place, reach) {
    if (this.line === null) return null;
    const ends = [this.line.slice(0, 2), this.line.slice(2)];
    const near = ends.findIndex((end) => lengthOf([...end, ...place]) <= reach);
    return near < 0 ? null : near;
  }

  #tell(kind) {
    this.dispatchEvent(new Event(kind));
  }
}
