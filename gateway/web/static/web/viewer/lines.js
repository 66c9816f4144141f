import { lengthOf } from "./measure.js";
import { message } from "./messages.js";
import { paintLine, paintWords } from "./painter.js";

const MARGIN = 16; // CSS pixels from an end to the middle of the words above it

// The lines that were measured, by the answer of their image: a study may be made again.
const kept = new WeakMap();

// The lines that a person measured in an image, { number, ends }, in the order in which they were drawn.
// `ends` is [x1, y1, x2, y2] in upright source pixels; the number of a line stays as others are removed.
export class Lines {
  #answer;

  constructor(answer) {
    this.#answer = answer;
  }

  get all() {
    return kept.get(this.#answer) ?? [];
  }

  // Keep a line, with the next number.
  keep(line) {
    line.number = (this.all.at(-1)?.number ?? 0) + 1;
    kept.set(this.#answer, [...this.all, line]);
  }

  remove(line) {
    kept.set(this.#answer, this.all.filter((each) => each !== line));
  }
}

// Draw lines with their numbers and lengths, at this scale of their image. `ratio` is device pixels for a
// CSS pixel.
export function paintLines(context, viewport, lines, scale, ratio) {
  for (const line of lines) {
    paintLine(context, viewport, line.ends, "", ratio);
    paintWords(context, wordsOf(line, scale), placeOf(line, viewport, MARGIN * ratio), ratio);
  }
}

// Return the place of a line's words on the screen: above its upper end, where they cover nothing that was
// measured, and in sight as long as the lower end is.
function placeOf({ ends }, viewport, margin) {
  const [upper, lower] = [ends.slice(0, 2), ends.slice(2)]
    .map((end) => viewport.toScreen(end))
    .toSorted((a, b) => a[1] - b[1]);
  return [upper[0], lower[1] < 0 ? -margin : Math.max(upper[1] - margin, margin)];
}

// Return a line's number and length in words, at this scale of its image.
export function wordsOf({ number, ends }, scale) {
  return message("line", { number, length: scale.length(lengthOf(ends)) });
}
