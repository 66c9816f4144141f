import { signedArea } from "./outline.js";
import { simplified } from "./simplify.js";

const MIN_AREA = 1; // pixels
const MOST_POINTS = 400; // of a loop that is edited

// Return the loops of an outline that a person edits, each a list of points [x, y], and whether holes
// were left out: COCO's segmentation lists have none. The points are fewer than those along the sides
// of the pixels, and the line is at most a pixel, or 1/100 of the box's diagonal, away from these.
export function editable(outline, [x1, y1, x2, y2]) {
  const outer = outline.loops.filter((loop) => signedArea(loop) > 0);
  const tolerance = Math.max(1, Math.hypot(x2 - x1, y2 - y1) / 100);
  return { loops: outer.map((loop) => reduced(loop, tolerance)), hasHoles: outer.length < outline.loops.length };
}

// Return what is wrong with an outline ("few" points, "flat" or "crossing" itself), or null.
export function problemOf(loops) {
  if (loops.length === 0 || loops.some((loop) => loop.length < 3)) return "few";
  if (loops.some((loop) => crossesItself(loop))) return "crossing";
  return loops.some((loop) => Math.abs(signedArea(loop.flat())) < MIN_AREA) ? "flat" : null;
}

// Return the loops as COCO's segmentation: lists of x, y in upright source pixels, with two decimals.
export function segmentationOf(loops) {
  return loops.map((loop) => loop.flat().map((value) => Math.round(value * 100) / 100));
}

function reduced(loop, tolerance) {
  let points = pointsOf(simplified(loop, tolerance));
  for (let wider = 2 * tolerance; points.length > MOST_POINTS; wider *= 2) points = pointsOf(simplified(loop, wider));
  return crossesItself(points) ? pointsOf(loop) : points;
}

function pointsOf(loop) {
  return Array.from({ length: loop.length / 2 }, (_, point) => [loop[2 * point], loop[2 * point + 1]]);
}

// Return whether two sides of a loop that are not neighbours meet.
function crossesItself(loop) {
  const count = loop.length;
  for (let first = 0; first < count - 2; first += 1) {
    for (let second = first + 2; second < count; second += 1) {
      if (first === 0 && second === count - 1) continue;
      if (meet(loop[first], loop[first + 1], loop[second], loop[(second + 1) % count])) return true;
    }
  }
  return false;
}

function meet(a, b, c, d) {
  const sides = [side(a, b, c), side(a, b, d), side(c, d, a), side(c, d, b)];
  if (sides[0] !== sides[1] && sides[2] !== sides[3]) return true;
  const ends = [[a, b, c], [a, b, d], [c, d, a], [c, d, b]];
  return ends.some(([from, to, point], index) => sides[index] === 0 && isBetween(from, to, point));
}

// Return on which side of the line through `a` and `b` a point lies: -1, 0 or 1.
function side(a, b, point) {
  return Math.sign((b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0]));
}

function isBetween(a, b, point) {
  return [0, 1].every((axis) => Math.min(a[axis], b[axis]) <= point[axis] && point[axis] <= Math.max(a[axis], b[axis]));
}
