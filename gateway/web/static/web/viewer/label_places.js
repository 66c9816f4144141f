// Where numbers and words lie in a picture, so that none covers another. A place is [x, y, width, height] in
// pixels of the screen or of the picture.

// Return the places at the corners of a lesion that its number may have, its usual place first.
export function cornersOf({ box }, usual, viewport) {
  const [, , width, height] = usual;
  const [left, top] = viewport.toScreen([box[0], box[1]]);
  const [right, bottom] = viewport.toScreen([box[2], box[3]]);
  const columns = [left, right - width, right, left - width];
  const rows = [top - height, bottom, top, bottom - height];
  const corners = rows.flatMap((y) => columns.map((x) => inside([x, y, width, height], viewport)));
  return [usual, ...corners];
}

// Return the places that words of this size, [width, height], may have beside a line between two points: above
// the upper one first.
export function besideLine(ends, size, viewport) {
  const [upper, lower] = ends.toSorted((a, b) => a[1] - b[1]);
  const sides = [
    [upper, [0, -1]],
    [lower, [0, 1]],
    [upper, [1, 0.5]],
    [upper, [-1, 0.5]],
    [lower, [1, -0.5]],
    [lower, [-1, -0.5]],
  ];
  return sides.map(([point, side]) => inside(beside(point, side, size), viewport));
}

// Return the places that words of this size may have beside a lesion: below it first.
export function besideBox(box, size, viewport) {
  const [[left, top], [right, bottom]] = [viewport.toScreen(box.slice(0, 2)), viewport.toScreen(box.slice(2))];
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  const sides = [
    [[x, bottom], [0, 1]],
    [[x, top], [0, -1]],
    [[right, y], [1, 0]],
    [[left, y], [-1, 0]],
  ];
  return sides.map(([point, side]) => inside(beside(point, side, size), viewport));
}

// Return one place of each list, so that none covers another, or one that is taken, as far as there is room;
// the first lists choose first, and each takes its first place where all are covered.
export function apart(lists, taken = []) {
  const chosen = [];
  for (const places of lists) {
    const isFree = (place) => ![...taken, ...chosen].some((other) => overlap(place, other));
    chosen.push(places.find(isFree) ?? places[0]);
  }
  return chosen;
}

// Return the place of something of this size on this side of a point, [-1 to 1, -1 to 1], a quarter of its
// height away.
function beside([x, y], [right, down], [width, height]) {
  const gap = height / 4;
  return [x - width / 2 + right * (width / 2 + gap), y - height / 2 + down * (height / 2 + gap), width, height];
}

function inside([x, y, width, height], viewport) {
  const within = (value, most) => Math.min(Math.max(value, 0), most);
  return [within(x, viewport.width - width), within(y, viewport.height - height), width, height];
}

function overlap([x, y, width, height], [left, top, wide, high]) {
  return x < left + wide && left < x + width && y < top + high && top < y + height;
}
