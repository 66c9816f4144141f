import { message } from "./messages.js";
import { paintImage, paintLesions, paintWords } from "./painter.js";
import { Viewport } from "./viewport.js";

// Return a PNG of the image with these lesions, numbered; with more than `maxSide` pixels along the
// longer side it is made smaller. It says how many lesions are hidden.
export function pictureOf(study, shown, style, maxSide) {
  const scale = Math.min(1, maxSide / Math.max(study.width, study.height));
  const viewport = new Viewport();
  Object.assign(viewport, {
    width: Math.max(1, Math.round(study.width * scale)),
    height: Math.max(1, Math.round(study.height * scale)),
  });
  viewport.open(study.width, study.height);
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: viewport.width, height: viewport.height });
  const context = canvas.getContext("2d", { alpha: false });
  // Lines and numbers as large as on the service's own picture.
  const ratio = Math.max(1, Math.min(viewport.width, viewport.height) / 640);
  paintImage(context, viewport, study.levels, "rgb(0 0 0)");
  paintLesions(context, viewport, shown, { ...style, isDrawn: true }, { selected: null, hovered: null }, ratio);
  const total = study.lesions.length;
  const count = total - shown.length;
  if (count > 0) {
    const place = [viewport.width / 2, viewport.height - 18 * ratio];
    paintWords(context, message("export.hidden", { count, total }), place, ratio);
  }
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The picture is too large."))), "image/png");
  });
}
