import { apart, besideLine } from "./label_places.js";
import { lengthOf } from "./measure.js";
import { message } from "./messages.js";
import { middleOf, paintLine, paintWords, sizeOfWords } from "./painter.js";

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

// Draw lines; their lengths are drawn by `paintLengths`. `ratio` is device pixels for a CSS pixel.
export function paintLines(context, viewport, lines, ratio) {
  for (const { ends } of lines) paintLine(context, viewport, ends, "", ratio);
}

// Write the numbers and lengths of lines beside them, at this scale of their image, off the places that are
// taken.
export function paintLengths(context, viewport, lines, scale, taken, ratio) {
  const seen = lines.filter(({ ends }) => isInSight(endsOf(ends, viewport), viewport));
  const words = seen.map((line) => wordsOf(line, scale));
  const placesOf = ({ ends }, index) =>
    besideLine(endsOf(ends, viewport), sizeOfWords(context, words[index], ratio), viewport);
  const places = apart(seen.map(placesOf), taken);
  places.forEach((place, index) => paintWords(context, words[index], middleOf(place), ratio));
}

function endsOf(ends, viewport) {
  return [viewport.toScreen(ends.slice(0, 2)), viewport.toScreen(ends.slice(2))];
}

// Return whether the box of a line reaches into the screen.
function isInSight(ends, { width, height }) {
  const isWithin = (values, most) => Math.max(...values) >= 0 && Math.min(...values) <= most;
  return isWithin(ends.map(([x]) => x), width) && isWithin(ends.map(([, y]) => y), height);
}

// Return a line's number and length in words, at this scale of its image.
export function wordsOf({ number, ends }, scale) {
  return message("line", { number, length: scale.length(lengthOf(ends)) });
}
