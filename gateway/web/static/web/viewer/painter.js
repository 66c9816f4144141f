import { apart, besideBox, cornersOf } from "./label_places.js";
import { recolour } from "./recolour.js";

const DIMMED = 0.65; // of the lesions beside a selected one
const MOST_POINTS = 1500; // of the outlines in sight that move in full
const BADGE = { size: 12, pad: 4, height: 20 }; // CSS pixels

// How lesions are drawn. `opacity` holds one for each style; `letters` is the size of the numbers on paper,
// in pixels, where they are black on white and apart from each other, or null.
export const DEFAULT_STYLE = { isDrawn: true, letters: null, style: "fill", opacity: { fill: 0.35, outline: 1 } };

// Fill the screen with the ground, and draw the image on it with these adjustments, or as it was taken
// where they are null.
export function paintImage(context, viewport, levels, ground, adjustments) {
  const { scale, width, height } = viewport;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = ground;
  context.fillRect(0, 0, width, height);
  const [left, top] = viewport.toScreen([0, 0]);
  context.imageSmoothingEnabled = scale < 3; // further in, each pixel is seen as it is
  context.imageSmoothingQuality = "low"; // the level has at most twice the pixels of the screen
  const [wide, high] = [viewport.imageWidth * scale, viewport.imageHeight * scale];
  context.drawImage(levels.at(scale), left, top, wide, high);
  if (adjustments === null || adjustments.isNone) return;
  const bounds = [Math.max(0, left), Math.max(0, top), Math.min(width, left + wide), Math.min(height, top + high)];
  recolour(context, bounds, adjustments.values);
}

// Draw lesions, the last ones first: the first are the most severe and lie on top. `ratio` is
// device pixels for a CSS pixel, `marked` holds the ids of `selected` and `hovered` or null. While the
// picture `isMoving`, the lines of many lesions are thin, which takes a tenth of the time.
export function paintLesions(context, viewport, lesions, style, marked, ratio, isMoving = false) {
  const ordered = inOrder(lesions, viewport, marked);
  const pointsOf = (outline) => outline?.pointsAt(viewport.scale) ?? 0;
  const points = ordered.reduce((sum, { outline, drawn }) => sum + pointsOf(outline) + pointsOf(drawn), 0);
  const isThin = isMoving && points > MOST_POINTS;
  context.lineJoin = "round";
  if (!style.isDrawn) return;
  const isOf = (kind) => ordered.filter((lesion) => lesion[kind] !== null);
  for (const lesion of isOf("outline")) paintShape(context, viewport, lesion, style, marked, ratio, isThin);
  for (const lesion of isOf("drawn")) paintDrawn(context, viewport, lesion, marked, ratio, isThin);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.globalAlpha = 1;
}

// Draw the numbers of lesions as `paintLesions` has them, over all lines. Return their places.
export function paintNumbers(context, viewport, lesions, style, marked, ratio) {
  if (!style.isDrawn) return [];
  if (style.letters !== null) return paintOnPaper(context, viewport, lesions, style.letters / BADGE.size);
  const ordered = inOrder(lesions, viewport, marked);
  const places = ordered.map((lesion) => badgeOf(lesion, viewport, ratio));
  ordered.forEach((lesion, index) => paintBadge(context, places[index], lesion, marked, ratio));
  return places;
}

// Return the lesions in sight in the order in which they are drawn: those that are marked last.
function inOrder(lesions, viewport, { selected, hovered }) {
  const rank = ({ id }) => (id === selected ? 2 : 0) + (id === hovered ? 1 : 0);
  const seen = lesions.filter((lesion) => isInSight(lesion, viewport)).toReversed();
  return seen.toSorted((a, b) => rank(a) - rank(b));
}

function paintShape(context, viewport, lesion, { style, opacity }, { selected, hovered }, ratio, isThin) {
  const { scale } = viewport;
  const isMarked = lesion.id === selected || lesion.id === hovered;
  const isPlain = !lesion.isRejected && lesion.drawn === null;
  const strength = opacity[style] * strengthOf(selected, isMarked);
  toImage(context, viewport);
  const path = lesion.outline.path(scale);
  if (style === "fill" && lesion.hasPixels && !lesion.isRejected) {
    context.globalAlpha = Math.min(1, strength);
    context.fillStyle = lesion.colour;
    context.fill(path, "evenodd");
  }
  context.globalAlpha = style === "outline" ? strength : 1;
  const line = isThin ? 1 / scale : ((isMarked ? 3 : 1.75) * (isPlain ? 1 : 0.7) * ratio) / scale;
  context.setLineDash(isThin ? [] : dashesOf(lesion).map((length) => length * line));
  // A border of the other lightness keeps the line visible on any tissue.
  if (!isThin) stroke(context, path, line + (2 * ratio) / scale, lesion.contrast);
  stroke(context, path, line, lesion.colour);
  context.setLineDash([]);
}

// A rejected lesion is dotted, one that has only a box is dashed.
function dashesOf({ isRejected, hasPixels }) {
  if (isRejected) return [1.5, 4];
  return hasPixels ? [] : [6, 4];
}

// Draw the outline that a reviewer gave a lesion: dashes of the class's colour on a whole line of the
// other lightness, so that one of both is seen on any tissue.
function paintDrawn(context, viewport, lesion, { selected, hovered }, ratio, isThin) {
  const isMarked = lesion.id === selected || lesion.id === hovered;
  toImage(context, viewport);
  context.globalAlpha = 1;
  const path = lesion.drawn.path(viewport.scale);
  const unit = ratio / viewport.scale;
  const line = (isMarked ? 3.5 : 2.25) * unit;
  if (!isThin) stroke(context, path, line + 2.5 * unit, lesion.contrast);
  context.setLineDash([7 * unit, 5 * unit]);
  stroke(context, path, line, lesion.colour);
  context.setLineDash([]);
}

// Draw in pixels of the image from now on.
function toImage(context, viewport) {
  const [left, top] = viewport.toScreen([0, 0]);
  context.setTransform(viewport.scale, 0, 0, viewport.scale, left, top);
}

// Return how strong a lesion is drawn: less where another one is selected.
function strengthOf(selected, isMarked) {
  return selected === null || isMarked ? 1 : DIMMED;
}

function stroke(context, path, width, colour) {
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke(path);
}

// Return where a lesion's number lies, [x, y, width, height] on the screen: above the upper left
// corner of its box, a letter above the upper right one, and in sight as long as the lesion is.
export function badgeOf({ box, number, outline }, viewport, ratio) {
  const [left, top] = viewport.toScreen([box[0], box[1]]);
  const [right] = viewport.toScreen([box[2], box[1]]);
  const height = BADGE.height * ratio;
  const width = (2 * BADGE.pad + 0.62 * BADGE.size * String(number).length) * ratio;
  const within = (value, most) => Math.min(Math.max(value, 0), most);
  const wide = Math.max(width, height);
  const place = outline === null ? right - wide : left;
  return [within(place, viewport.width - wide), within(top - height, viewport.height - height), wide, height];
}

function paintBadge(context, place, lesion, { selected, hovered }, ratio) {
  const isMarked = lesion.id === selected || lesion.id === hovered;
  const plate = plateOf(place, lesion, ratio);
  context.fillStyle = lesion.colour;
  context.fill(plate);
  stroke(context, plate, (isMarked ? 2.5 : 1) * ratio, lesion.contrast);
  context.fillStyle = lesion.contrast;
  write(context, place, lesion, ratio);
}

// Draw the numbers of lesions for paper, on white plates with a border of the class's colour. The first
// lesions have the first choice of the place. Return the places.
function paintOnPaper(context, viewport, lesions, ratio) {
  const places = apart(lesions.map((lesion) => cornersOf(lesion, badgeOf(lesion, viewport, ratio), viewport)));
  lesions.forEach((lesion, index) => {
    const plate = plateOf(places[index], lesion, ratio);
    stroke(context, plate, 3.5 * ratio, "rgb(0 0 0)");
    context.fillStyle = "rgb(255 255 255)";
    context.fill(plate);
    stroke(context, plate, 1.75 * ratio, lesion.colour);
    context.fillStyle = "rgb(0 0 0)";
    write(context, places[index], lesion, ratio);
  });
  return places;
}

function plateOf([x, y, width, height], { outline }, ratio) {
  const plate = new Path2D();
  plate.roundRect(x, y, width, height, outline === null ? height / 2 : 4 * ratio);
  return plate;
}

// Write a lesion's number in the middle of its plate, struck through where the lesion was rejected.
function write(context, [x, y, width, height], { number, isRejected }, ratio) {
  context.font = `600 ${BADGE.size * ratio}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(String(number), x + width / 2, y + height / 2 + 0.5 * ratio);
  if (isRejected) context.fillRect(x + 3 * ratio, y + height / 2 - ratio, width - 6 * ratio, 2 * ratio);
}

// Draw the longest diameter of a lesion, with its length beside the lesion, off the places that are taken.
// Return the places that it takes itself: none where the lesion is out of sight.
export function paintDiameter(context, viewport, lesion, words, taken, ratio) {
  if (!isInSight(lesion, viewport)) return [];
  paintLine(context, viewport, lesion.measurements.line, "", ratio, true);
  const [place] = apart([besideBox(lesion.box, sizeOfWords(context, words, ratio), viewport)], taken);
  paintWords(context, words, middleOf(place), ratio);
  return [place];
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

// Return the size of the plate of words, [width, height].
export function sizeOfWords(context, words, ratio) {
  context.font = `600 ${13 * ratio}px system-ui, sans-serif`;
  return [context.measureText(words).width + 12 * ratio, 22 * ratio];
}

export function middleOf([x, y, width, height]) {
  return [x + width / 2, y + height / 2];
}

// Write on a dark plate around this point of the screen.
export function paintWords(context, words, [x, y], ratio) {
  const [width, height] = sizeOfWords(context, words, ratio);
  context.beginPath();
  context.roundRect(x - width / 2, y - height / 2, width, height, 4 * ratio);
  context.fillStyle = "rgb(20 20 20 / 85%)";
  context.fill();
  context.fillStyle = "rgb(255 255 255)";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(words, x, y + 0.5 * ratio);
}

function isInSight({ box, drawn }, viewport) {
  const [left, top] = viewport.toImage([0, 0]);
  const [right, bottom] = viewport.toImage([viewport.width, viewport.height]);
  const boxes = drawn === null ? [box] : [box, drawn.box];
  return boxes.some(([x1, y1, x2, y2]) => x2 >= left && x1 <= right && y2 >= top && y1 <= bottom);
}
