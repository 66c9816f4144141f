import { legendOf } from "./legend.js";
import { Lines, paintLengths, paintLines } from "./lines.js";
import { message } from "./messages.js";
import { paintImage, paintLesions, paintNumbers, paintWords } from "./painter.js";
import { pngOf } from "./png.js";
import { Scale } from "./scale.js";
import { Viewport } from "./viewport.js";

const LEGEND = { letter: 8.5, line: 24 }; // CSS pixels: of a letter at most on average, and from line to line
const LETTERS = 3.7; // millimetres: the size of letters on paper, whose digits are 2.5 mm high in any font
const WORDS = 13; // CSS pixels: the size of letters that paintWords draws
const LINES = 0.2; // millimetres: a CSS pixel of lines on paper
const CSS_PIXEL = 25.4 / 96; // millimetres

// Return a PNG of the image as it was taken, with these lesions of the study, numbered, what a reviewer says
// about them, and the lines that were measured; with more than `maxSide` pixels along the longer side it is
// made smaller. It says how many lesions are hidden. What the reviewer's signs mean stands below the image,
// which it would cover. `paper` is { width, height }, the room that the picture has on paper in millimetres:
// then the numbers are large enough and black on white, and the signs are left to be told beside it; null
// for a screen.
export function pictureOf(study, shown, annotations, style, { maxSide, paper = null }) {
  const scale = Math.min(1, maxSide / Math.max(study.width, study.height));
  const viewport = new Viewport();
  Object.assign(viewport, {
    width: Math.max(1, Math.round(study.width * scale)),
    height: Math.max(1, Math.round(study.height * scale)),
  });
  viewport.open(study.width, study.height);
  const pixel = paper === null ? null : pixelOn(paper, viewport);
  const ratio = pixel === null ? ratioOnScreen(viewport) : LINES / pixel;
  const lesions = annotations.over(shown);
  const legend = paper === null ? legendOf(lesions, annotations.isSaved) : [];
  const width = Math.max(...legend.map((line) => line.length)) * LEGEND.letter;
  const size = Math.min(ratio, viewport.width / width);
  const canvas = document.createElement("canvas");
  const below = Math.ceil(legend.length * LEGEND.line * size);
  Object.assign(canvas, { width: viewport.width, height: viewport.height + below });
  const context = canvas.getContext("2d", { alpha: false });
  paintImage(context, viewport, study.levels, "rgb(0 0 0)", null);
  const drawn = { ...style, isDrawn: true, letters: pixel === null ? null : LETTERS / pixel };
  const marked = { selected: null, hovered: null };
  const lines = new Lines(study.answer).all;
  const lineRatio = pixel === null ? ratio : LETTERS / WORDS / pixel;
  paintLesions(context, viewport, lesions, drawn, marked, ratio);
  paintLines(context, viewport, lines, lineRatio);
  const numbers = paintNumbers(context, viewport, lesions, drawn, marked, ratio);
  paintLengths(context, viewport, lines, new Scale(study.answer), numbers, lineRatio);
  const total = study.lesions.length;
  const count = total - shown.length;
  if (count > 0) {
    const place = [viewport.width / 2, viewport.height - 18 * ratio];
    paintWords(context, message("export.hidden", { count, total }), place, ratio);
  }
  legend.forEach((line, index) => {
    paintWords(context, line, [viewport.width / 2, viewport.height + (index + 0.5) * LEGEND.line * size], size);
  });
  return pngOf(canvas);
}

// Return pixels of a picture for a CSS pixel: lines and numbers are as large as on the service's own.
function ratioOnScreen({ width, height }) {
  return Math.max(1, Math.min(width, height) / 640);
}

// Return how large a pixel of a picture is on paper, in millimetres; it is made smaller, never larger.
function pixelOn(paper, { width, height }) {
  return Math.min(paper.width / width, paper.height / height, CSS_PIXEL);
}
