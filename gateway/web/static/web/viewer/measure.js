import { signedArea } from "./outline.js";

// Return the measurements of a lesion in pixels: its area; the width and height of its bounds; its
// longest diameter (the maximum Feret diameter, between outer corners of pixels) and where that lies,
// [x1, y1, x2, y2]. Where the model has no masks, they are those of the box, without a diameter.
export function measurementsOf({ box: [x1, y1, x2, y2], mask, area }) {
  if (mask === null) return { area, width: x2 - x1, height: y2 - y1, diameter: null, line: null };
  if (mask.isEmpty) return { area, width: 0, height: 0, diameter: 0, line: null };
  const line = longest(hull(corners(mask)));
  return { area, width: mask.width, height: mask.height, diameter: lengthOf(line), line };
}

// Return the area and the longest diameter in pixels of an outline, COCO's segmentation lists.
export function sizeOfOutline(outline) {
  const area = outline.reduce((sum, loop) => sum + Math.abs(signedArea(loop)), 0);
  const points = outline.flatMap((loop) => loop.flatMap((x, at) => (at % 2 === 0 ? [[x, loop[at + 1]]] : [])));
  return { area, diameter: lengthOf(longest(hull(points))) };
}

export function lengthOf([x1, y1, x2, y2]) {
  return Math.hypot(x2 - x1, y2 - y1);
}

// Return the outer corners of each row's pixels; the hull needs no others.
function corners({ x, y, width, height, pixels }) {
  const points = [];
  for (let row = 0; row < height; row += 1) {
    const start = row * width;
    const first = pixels.indexOf(1, start);
    if (first < 0 || first >= start + width) continue;
    const left = x + first - start;
    const right = x + pixels.lastIndexOf(1, start + width - 1) - start + 1;
    points.push([left, y + row], [right, y + row], [left, y + row + 1], [right, y + row + 1]);
  }
  return points;
}

// Return the corners of the convex hull: the monotone chain of Andrew (1979).
function hull(points) {
  points.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const chain = (ordered) => {
    const kept = [];
    for (const point of ordered) {
      while (kept.length > 1 && cross(kept.at(-2), kept.at(-1), point) <= 0) kept.pop();
      kept.push(point);
    }
    return kept.slice(0, -1);
  };
  return [...chain(points), ...chain(points.toReversed())];
}

function cross([x0, y0], [x1, y1], [x2, y2]) {
  return (x1 - x0) * (y2 - y0) - (y1 - y0) * (x2 - x0);
}

// A hull of pixels has few corners, so all pairs are compared.
function longest(points) {
  let [best, most] = [[...points[0], ...points[0]], 0];
  for (let one = 0; one < points.length; one += 1) {
    for (let other = one + 1; other < points.length; other += 1) {
      const square = (points[other][0] - points[one][0]) ** 2 + (points[other][1] - points[one][1]) ** 2;
      if (square > most) [best, most] = [[...points[one], ...points[other]], square];
    }
  }
  return best;
}
