const DIMMED = 0.35; // of the lesions beside a selected one
const MOST_POINTS = 1500; // of the outlines in sight that move in full
const BADGE = { size: 12, pad: 4, height: 20 }; // CSS pixels

// How lesions are drawn. `opacity` holds one for each style.
export const DEFAULT_STYLE = { isDrawn: true, style: "fill", opacity: { fill: 0.35, outline: 1 } };

// Fill the screen with the ground, and draw the image on it.
export function paintImage(context, viewport, levels, ground) {
  const { scale, width, height } = viewport;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = ground;
  context.fillRect(0, 0, width, height);
  const [left, top] = viewport.toScreen([0, 0]);
  context.imageSmoothingEnabled = scale < 3; // further in, each pixel is seen as it is
  context.imageSmoothingQuality = "low"; // the level has at most twice the pixels of the screen
  context.drawImage(levels.at(scale), left, top, viewport.imageWidth * scale, viewport.imageHeight * scale);
}

// Draw lesions, the last ones first: the first are the most severe and lie on top. `ratio` is
// device pixels for a CSS pixel, `marked` holds the ids of `selected` and `hovered` or null. While the
// picture `isMoving`, the lines of many lesions are thin, which takes a tenth of the time.
export function paintLesions(context, viewport, lesions, style, marked, ratio, isMoving = false) {
  const seen = lesions.filter((lesion) => isInSight(lesion.box, viewport)).toReversed();
  const points = seen.reduce((sum, lesion) => sum + lesion.outline.pointsAt(viewport.scale), 0);
  const isThin = isMoving && points > MOST_POINTS;
  const rank = ({ id }) => (id === marked.selected ? 2 : 0) + (id === marked.hovered ? 1 : 0);
  const ordered = seen.toSorted((a, b) => rank(a) - rank(b));
  context.lineJoin = "round";
  if (style.isDrawn) for (const lesion of ordered) paintShape(context, viewport, lesion, style, marked, ratio, isThin);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.globalAlpha = 1;
  if (style.isDrawn) for (const lesion of ordered) paintBadge(context, viewport, lesion, marked, ratio);
}

function paintShape(context, viewport, lesion, { style, opacity }, { selected, hovered }, ratio, isThin) {
  const { scale } = viewport;
  const isMarked = lesion.id === selected || lesion.id === hovered;
  const strength = opacity[style] * (selected === null || isMarked ? 1 : DIMMED + 0.3);
  const [left, top] = viewport.toScreen([0, 0]);
  context.setTransform(scale, 0, 0, scale, left, top);
  const path = lesion.outline.path(scale);
  if (style === "fill" && lesion.hasPixels) {
    context.globalAlpha = Math.min(1, strength);
    context.fillStyle = lesion.colour;
    context.fill(path, "evenodd");
  }
  context.globalAlpha = style === "outline" ? strength : 1;
  const line = isThin ? 1 / scale : ((isMarked ? 3 : 1.75) * ratio) / scale;
  context.setLineDash(lesion.hasPixels || isThin ? [] : [6 * line, 4 * line]);
  // A border of the other lightness keeps the line visible on any tissue.
  if (!isThin) stroke(context, path, line + (2 * ratio) / scale, lesion.contrast);
  stroke(context, path, line, lesion.colour);
  context.setLineDash([]);
}

function stroke(context, path, width, colour) {
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke(path);
}

// Return where a lesion's number lies, [x, y, width, height] on the screen: above the upper left
// corner of its box, and in sight as long as the lesion is.
export function badgeOf({ box, number }, viewport, ratio) {
  const [left, top] = viewport.toScreen([box[0], box[1]]);
  const height = BADGE.height * ratio;
  const width = (2 * BADGE.pad + 0.62 * BADGE.size * String(number).length) * ratio;
  const within = (value, most) => Math.min(Math.max(value, 0), most);
  const wide = Math.max(width, height);
  return [within(left, viewport.width - wide), within(top - height, viewport.height - height), wide, height];
}

function paintBadge(context, viewport, lesion, { selected, hovered }, ratio) {
  const [x, y, width, height] = badgeOf(lesion, viewport, ratio);
  const isMarked = lesion.id === selected || lesion.id === hovered;
  context.beginPath();
  context.roundRect(x, y, width, height, 4 * ratio);
  context.fillStyle = lesion.colour;
  context.fill();
  context.lineWidth = (isMarked ? 2.5 : 1) * ratio;
  context.strokeStyle = lesion.contrast;
  context.stroke();
  context.fillStyle = lesion.contrast;
  context.font = `600 ${BADGE.size * ratio}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(String(lesion.number), x + width / 2, y + height / 2 + 0.5 * ratio);
}

// Draw the longest diameter of a lesion, with its length below the lesion.
export function paintDiameter(context, viewport, { box, measurements: { line } }, words, ratio) {
  paintLine(context, viewport, line, "", ratio, true);
  const [x, bottom] = viewport.toScreen([(box[0] + box[2]) / 2, box[3]]);
  const margin = 16 * ratio;
  paintWords(context, words, [x, Math.min(Math.max(bottom, 0) + margin, viewport.height - margin)], ratio);
}

// Draw a line between two places of the image, [x1, y1, x2, y2], with what it measures beside it.
export function paintLine(context, viewport, line, words, ratio, isDashed = false) {
  const from = viewport.toScreen(line.slice(0, 2));
  const to = viewport.toScreen(line.slice(2));
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.globalAlpha = 1;
  context.lineCap = "round";
  for (const [width, colour] of [[4.5, "rgb(20 20 20)"], [2, "rgb(255 255 255)"]]) {
    context.setLineDash(isDashed && width === 2 ? [6 * ratio, 5 * ratio] : []);
    context.lineWidth = width * ratio;
    context.strokeStyle = colour;
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
  }
  context.setLineDash([]);
  context.lineCap = "butt";
  if (words) paintWords(context, words, [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2 - 16 * ratio], ratio);
}

// Write on a dark plate around this point of the screen.
export function paintWords(context, words, [x, y], ratio) {
  context.font = `600 ${13 * ratio}px system-ui, sans-serif`;
  const width = context.measureText(words).width + 12 * ratio;
  const height = 22 * ratio;
  context.beginPath();
  context.roundRect(x - width / 2, y - height / 2, width, height, 4 * ratio);
  context.fillStyle = "rgb(20 20 20 / 85%)";
  context.fill();
  context.fillStyle = "rgb(255 255 255)";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(words, x, y + 0.5 * ratio);
}

function isInSight([x1, y1, x2, y2], viewport) {
  const [left, top] = viewport.toImage([0, 0]);
  const [right, bottom] = viewport.toImage([viewport.width, viewport.height]);
  return x2 >= left && x1 <= right && y2 >= top && y1 <= bottom;
}
