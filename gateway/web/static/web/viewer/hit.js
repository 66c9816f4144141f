import { badgeOf } from "./painter.js";

const REACH = 12; // CSS pixels around the middle of a lesion that is small on the screen

// Return the lesion at a point of the screen, or null: the one whose number is there, else the smallest
// that has the pixel, else a small one nearby.
export function lesionAt(lesions, viewport, point, ratio) {
  const badge = lesions.find((lesion) => isIn(point, badgeOf(lesion, viewport, ratio)));
  if (badge) return badge;
  const place = viewport.toImage(point);
  const here = lesions.filter((lesion) => covers(lesion, place));
  if (here.length > 0) return here.reduce((a, b) => (b.area < a.area ? b : a));
  const near = (lesion) => isNear(lesion, viewport, point, REACH * ratio);
  return lesions.find(near) ?? null;
}

function covers({ mask, hasPixels, drawn, outline, box: [x1, y1, x2, y2] }, [x, y]) {
  if (drawn?.contains([x, y])) return true;
  if (outline === null) return false;
  if (hasPixels) return mask.has(Math.floor(x), Math.floor(y));
  return x >= x1 && x < x2 && y >= y1 && y < y2;
}

function isIn([right, down], [x, y, width, height]) {
  return right >= x && right < x + width && down >= y && down < y + height;
}

function isNear({ box: [x1, y1, x2, y2] }, viewport, point, reach) {
  if (Math.max(x2 - x1, y2 - y1) * viewport.scale > 2 * reach) return false;
  const [x, y] = viewport.toScreen([(x1 + x2) / 2, (y1 + y2) / 2]);
  return Math.hypot(point[0] - x, point[1] - y) <= reach;
}
