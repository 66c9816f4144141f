import { Crosshair } from "./crosshair.js";
import { lengthOf } from "./measure.js";
import { paintLine } from "./painter.js";

// The tool that measures between two points. Dispatches "change" with each change of a line, "first" when
// the first point of one is set, "measured" when it is complete, "remove" when the person takes away the
// last one and "quit" when they put the ruler away.
export class Ruler extends EventTarget {
  #crosshair;
  #viewport;
  #measuring;
  #hold = null; // the end of the line that is dragged: 0 or 1
  #before = null; // the { line, ends } before the drag
  line = null; // the one that was drawn or changed last, as those of `Lines`; its number is null until it is kept
  isOpen = false; // whether the second point is still to be set

  // `measuring` has the scale of the image, and the lines that are kept.
  constructor(viewport, measuring) {
    super();
    this.#viewport = viewport;
    this.#measuring = measuring;
    this.#crosshair = new Crosshair(viewport);
  }

  // Return the length in pixels of a complete line, else null.
  get length() {
    return this.line === null || this.isOpen ? null : lengthOf(this.line.ends);
  }

  grab(place, reach) {
    if (this.isOpen) return false;
    const { line, end } = this.#endAt(place, reach) ?? { line: lineFrom(place), end: 1 };
    this.#before = { line: this.line, ends: line.ends };
    this.line = line;
    this.#hold = end;
    return true;
  }

  // Where the line was cleared meanwhile, the rest of the drag does nothing.
  drag(place) {
    if (this.#hold !== null) this.#place(this.#hold, place);
  }

  drop(isCancelled) {
    if (this.#hold === null) return;
    this.#hold = null;
    if (!isCancelled) {
      this.#finish();
      return;
    }
    this.line.ends = this.#before.ends;
    this.line = this.#before.line;
    this.#tell("change");
  }

  tap(place) {
    if (this.isOpen) {
      this.#place(1, place);
      this.#finish();
      return;
    }
    this.line = lineFrom(place);
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
    const isKept = this.line !== null && this.line.number !== null;
    if (event.key === "Delete" || event.key === "Backspace") {
      if (isKept) this.#tell("remove");
      return true;
    }
    if (event.key !== "Escape") return false;
    if (this.line === null || isKept) this.#tell("quit");
    else this.clear();
    return true;
  }

  // Begin anew; a line that is not kept is gone.
  clear() {
    this.line = null;
    this.#hold = null;
    this.isOpen = false;
    this.#crosshair.place = null;
    this.#tell("change");
  }

  paint(context, ratio) {
    if (this.line?.number === null) {
      const { ends } = this.line;
      const words = this.isOpen && lengthOf(ends) === 0 ? "" : this.#measuring.scale.length(lengthOf(ends));
      paintLine(context, this.#viewport, ends, words, ratio);
    }
    this.#crosshair.paint(context, ratio);
  }

  #finish() {
    this.isOpen = false;
    if (lengthOf(this.line.ends) === 0) this.#takeBack();
    this.#tell("change");
    if (this.line !== null) this.#tell("measured");
  }

  // A line without a length is none; one that is kept has its length of before.
  #takeBack() {
    if (this.line.number === null) this.line = null;
    else this.line.ends = this.#before.ends;
  }

  #place(end, place) {
    const { ends } = this.line;
    this.line.ends = end === 0 ? [...place, ...ends.slice(2)] : [...ends.slice(0, 2), ...place];
    this.#tell("change");
  }

  // Return the { line, end } at this place, of those drawn last the first, or null.
  #endAt(place, reach) {
    const kept = this.#measuring.lines.all.toReversed();
    const lines = this.line?.number === null ? [this.line, ...kept] : kept;
    for (const line of lines) {
      const ends = [line.ends.slice(0, 2), line.ends.slice(2)];
      const end = ends.findIndex((each) => lengthOf([...each, ...place]) <= reach);
      if (end >= 0) return { line, end };
    }
    return null;
  }

  #tell(kind) {
    this.dispatchEvent(new Event(kind));
  }
}

// Return a line that begins at this place and is not kept.
function lineFrom(place) {
  return { number: null, ends: [...place, ...place] };
}
