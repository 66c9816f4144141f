// Return the box [x1, y1, x2, y2] of lists of coordinates x1, y1, x2, y2, … There may be more of them than
// a browser takes as arguments of one call.
export function boxOf(lists) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (const list of lists) {
    list.forEach((value, at) => {
      const axis = at % 2;
      box[axis] = Math.min(box[axis], value);
      box[axis + 2] = Math.max(box[axis + 2], value);
    });
  }
  return box;
}
