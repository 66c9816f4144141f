import { legendOf } from "./legend.js";
import { Lines, paintLines } from "./lines.js";
import { message } from "./messages.js";
import { paintImage, paintLesions, paintWords } from "./painter.js";
import { Scale } from "./scale.js";
import { Viewport } from "./viewport.js";

const LEGEND = { letter: 8.5, line: 24 }; // CSS pixels: of a letter at most on average, and from line to line

// Return a PNG of the image as it was taken, with these lesions of the study, numbered, what a reviewer says
// about them, and the lines that were measured; with more than `maxSide` pixels along the longer side it is
// made smaller. It says how many lesions are hidden. What the reviewer's signs mean stands below the image,
// which it would cover.
export function pictureOf(study, shown, annotations, style, maxSide) {
  const scale = Math.min(1, maxSide / Math.max(study.width, study.height));
  const viewport = new Viewport();
  Object.assign(viewport, {
    width: Math.max(1, Math.round(study.width * scale)),
    height: Math.max(1, Math.round(study.height * scale)),
  });
  viewport.open(study.width, study.height);
  // Lines and numbers as large as on the service's own picture.
  const ratio = Math.max(1, Math.min(viewport.width, viewport.height) / 640);
  const lesions = annotations.over(shown);
  const legend = legendOf(lesions, annotations.isSaved);
  const width = Math.max(...legend.map((line) => line.length)) * LEGEND.letter;
  const size = Math.min(ratio, viewport.width / width);
  const canvas = document.createElement("canvas");
  const below = Math.ceil(legend.length * LEGEND.line * size);
  Object.assign(canvas, { width: viewport.width, height: viewport.height + below });
  const context = canvas.getContext("2d", { alpha: false });
  paintImage(context, viewport, study.levels, "rgb(0 0 0)", null);
  paintLesions(context, viewport, lesions, { ...style, isDrawn: true }, { selected: null, hovered: null }, ratio);
  paintLines(context, viewport, new Lines(study.answer).all, new Scale(study.answer), ratio);
  const total = study.lesions.length;
  const count = total - shown.length;
  if (count > 0) {
    const place = [viewport.width / 2, viewport.height - 18 * ratio];
    paintWords(context, message("export.hidden", { count, total }), place, ratio);
  }
  legend.forEach((line, index) => {
    paintWords(context, line, [viewport.width / 2, viewport.height + (index + 0.5) * LEGEND.line * size], size);
  });
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The picture is too large."))), "image/png");
  });
}
