import { boxOf } from "./box.js";
import { simplified } from "./simplify.js";

// It tells what a path encloses, and is never painted on.
const context = new OffscreenCanvas(1, 1).getContext("2d");

const LEVELS = 6;
const TOLERANCE = 0.75; // smooths the steps of a slanted line, which are 0.71 pixels deep
const EXACT_FROM = 2; // screen pixels for a pixel: from here on the pixels themselves are seen
// East, south, west, north: the mask lies on the right of each side that is followed.
const STEPS = [[1, 0], [0, 1], [-1, 0], [0, -1]];
// From a corner, the pixel ahead on the right, and that on the left.
const AHEAD = [[0, 0, 0, -1], [-1, 0, 0, 0], [-1, -1, -1, 0], [0, -1, -1, -1]];

// The outline of a mask along the sides of its pixels, traced once. Each loop is a list of x, y in
// pixels of the image; one around a hole runs the other way.
export class Outline {
  #levels = [];
  #paths = [];
  #exact;
  #box;

  constructor(loops) {
    this.loops = loops;
    // Each level is made of the finer one, so the distances add up: to 2 ** level tolerances.
    for (let level = 0; level < LEVELS; level += 1) {
      const tolerance = level === 0 ? TOLERANCE : TOLERANCE * 2 ** (level - 1);
      this.#levels.push((this.#levels.at(-1) ?? loops).map((loop) => simplified(loop, tolerance)));
    }
  }

  static of(mask) {
    return new Outline(loopsOf(mask));
  }

  // Return the outline of a lesion that has only a box, XYXY.
  static ofBox([x1, y1, x2, y2]) {
    return new Outline([[x1, y1, x2, y1, x2, y2, x1, y2]]);
  }

  // The smallest box around it, XYXY.
  get box() {
    return (this.#box ??= boxOf(this.loops));
  }

  // Return whether a place of the image, [x, y], lies within.
  contains([x, y]) {
    return context.isPointInPath((this.#exact ??= pathOf(this.loops)), x, y, "evenodd");
  }

  // Return the path to draw at this scale (screen pixels for a pixel of the image): less than a screen
  // pixel from the outline, or than one of the image; with large pixels it is the outline itself.
  path(scale) {
    if (scale > EXACT_FROM) return (this.#exact ??= pathOf(this.loops));
    const level = this.#levelAt(scale);
    return (this.#paths[level] ??= pathOf(this.#levels[level]));
  }

  // Return how many points that path has.
  pointsAt(scale) {
    const loops = scale > EXACT_FROM ? this.loops : this.#levels[this.#levelAt(scale)];
    return loops.reduce((sum, loop) => sum + loop.length / 2, 0);
  }

  #levelAt(scale) {
    return Math.max(0, Math.min(LEVELS - 1, Math.floor(-Math.log2(scale))));
  }
}

export function pathOf(loops) {
  const path = new Path2D();
  for (const loop of loops) {
    path.moveTo(loop[0], loop[1]);
    for (let at = 2; at < loop.length; at += 2) path.lineTo(loop[at], loop[at + 1]);
    path.closePath();
  }
  return path;
}

// Return the signed area of a loop: positive around a part of the mask, negative around a hole.
export function signedArea(loop) {
  let sum = 0;
  for (let at = 0, before = loop.length - 2; at < loop.length; before = at, at += 2) {
    sum += loop[before] * loop[at + 1] - loop[at] * loop[before + 1];
  }
  return sum / 2;
}

// Return the loops around all parts and holes of the mask; parts that touch at a corner are apart.
function loopsOf(mask) {
  const loops = [];
  const isFollowed = new Uint8Array(mask.pixels.length);
  for (let y = 0, place = 0; y < mask.height; y += 1) {
    for (let x = 0; x < mask.width; x += 1, place += 1) {
      const isUpperSide = mask.pixels[place] === 1 && (y === 0 || mask.pixels[place - mask.width] === 0);
      if (isUpperSide && isFollowed[place] === 0) loops.push(follow(mask, x, y, isFollowed));
    }
  }
  return loops;
}

// Follow a loop from the upper left corner of this pixel to the east.
function follow(mask, startX, startY, isFollowed) {
  const { width, height, pixels } = mask;
  const isInside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && pixels[y * width + x] === 1;
  const loop = [];
  let [x, y, direction] = [startX, startY, 0];
  do {
    if (direction === 0) isFollowed[y * width + x] = 1;
    x += STEPS[direction][0];
    y += STEPS[direction][1];
    const next = turned(isInside, x, y, direction);
    if (next !== direction) loop.push(mask.x + x, mask.y + y);
    direction = next;
  } while (x !== startX || y !== startY || direction !== 0);
  return loop;
}

// Return the direction in which the outline goes on from a corner.
function turned(isInside, x, y, direction) {
  const [rightX, rightY, leftX, leftY] = AHEAD[direction];
  if (!isInside(x + rightX, y + rightY)) return (direction + 1) % 4;
  return isInside(x + leftX, y + leftY) ? (direction + 3) % 4 : direction;
}
