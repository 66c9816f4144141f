// Where the numbers of lesions lie on paper, where none may cover another. A place is [x, y, width,
// height] in pixels of the picture.

// Return the places at the corners of a lesion that its number may have, its usual place first.
export function cornersOf({ box }, usual, viewport) {
  const [, , width, height] = usual;
  const [left, top] = viewport.toScreen([box[0], box[1]]);
  const [right, bottom] = viewport.toScreen([box[2], box[3]]);
  const within = (value, most) => Math.min(Math.max(value, 0), most);
  const columns = [left, right - width, right, left - width];
  const rows = [top - height, bottom, top, bottom - height];
  const corners = rows.flatMap((y) => columns.map((x) => [within(x, viewport.width - width), within(y, viewport.height - height)]));
  return [usual, ...corners.map(([x, y]) => [x, y, width, height])];
}

// Return one place of each list, so that none covers another as far as there is room; the first lists
// choose first, and each takes its first place where all are covered.
export function apart(lists) {
  const taken = [];
  for (const places of lists) {
    taken.push(places.find((place) => !taken.some((other) => overlap(place, other))) ?? places[0]);
  }
  return taken;
}

function overlap([x, y, width, height], [left, top, wide, high]) {
  return x < left + wide && left < x + width && y < top + high && top < y + height;
}
