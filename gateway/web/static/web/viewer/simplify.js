// Return a closed loop with fewer points, whose line is at most `tolerance` away from the points that
// are left out: the algorithm of Ramer (1972), Douglas and Peucker (1973). The first point stays.
export function simplified(loop, tolerance) {
  const count = loop.length / 2;
  if (count <= 4) return loop;
  const isKept = new Uint8Array(count + 1);
  const middle = farthest(loop, 0, count).index;
  isKept[0] = isKept[middle] = 1;
  const spans = [[0, middle], [middle, count]];
  while (spans.length > 0) {
    const [start, end] = spans.pop();
    const { index, distance } = farthest(loop, start, end);
    if (distance <= tolerance) continue;
    isKept[index] = 1;
    spans.push([start, index], [index, end]);
  }
  const kept = [];
  for (let point = 0; point < count; point += 1) {
    if (isKept[point]) kept.push(loop[2 * point], loop[2 * point + 1]);
  }
  return kept.length >= 6 ? kept : loop;
}

// Return which point between two others is the farthest from the line that joins these, and how far.
function farthest(loop, start, end) {
  const last = (2 * end) % loop.length;
  const [x, y] = [loop[2 * start], loop[2 * start + 1]];
  const [acrossX, acrossY] = [loop[last] - x, loop[last + 1] - y];
  const square = acrossX * acrossX + acrossY * acrossY;
  let index = start;
  let most = 0;
  for (let point = start + 1; point < end; point += 1) {
    const [toX, toY] = [loop[2 * point] - x, loop[2 * point + 1] - y];
    const along = square === 0 ? 0 : Math.min(1, Math.max(0, (toX * acrossX + toY * acrossY) / square));
    const distance = (toX - along * acrossX) ** 2 + (toY - along * acrossY) ** 2;
    if (distance > most) [index, most] = [point, distance];
  }
  return { index, distance: Math.sqrt(most) };
}
