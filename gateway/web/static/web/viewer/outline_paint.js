const INK = "rgb(20 20 20)";
const LIGHT = "rgb(255 255 255)";
const CHOSEN = "rgb(255 196 0)";
const FEWEST_BETWEEN = 28; // CSS pixels of a side that shows a point to add

// Draw the outline that a person edits, with its points; `pointer` is where the next point would lie
// while the outline is open, or null.
export function paintOutline(context, viewport, { loops, isOpen, chosen }, pointer, ratio) {
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.globalAlpha = 1;
  loops.forEach((loop, index) => {
    const points = loop.map((place) => viewport.toScreen(place));
    const isLast = isOpen && index === loops.length - 1;
    paintLine(context, points, isLast, isLast && pointer !== null ? viewport.toScreen(pointer) : null, ratio);
    if (!isLast) paintMiddles(context, points, ratio);
    points.forEach((point, number) => {
      const isChosen = chosen?.loop === index && chosen.point === number;
      paintPoint(context, point, isChosen || (isLast && number === 0), isChosen, ratio);
    });
  });
}

function paintLine(context, points, isOpen, pointer, ratio) {
  if (points.length === 0) return;
  context.beginPath();
  context.moveTo(...points[0]);
  points.slice(1).forEach((point) => context.lineTo(...point));
  if (pointer !== null) context.lineTo(...pointer);
  if (!isOpen) context.closePath();
  context.fillStyle = "rgb(255 255 255 / 15%)";
  if (!isOpen) context.fill();
  for (const [width, colour] of [[4, INK], [1.75, LIGHT]]) {
    context.lineWidth = width * ratio;
    context.strokeStyle = colour;
    context.stroke();
  }
}

function paintMiddles(context, points, ratio) {
  points.forEach(([x, y], index) => {
    const [nextX, nextY] = points[(index + 1) % points.length];
    if (Math.hypot(nextX - x, nextY - y) < FEWEST_BETWEEN * ratio) return;
    circle(context, [(x + nextX) / 2, (y + nextY) / 2], 3 * ratio, "rgb(255 255 255 / 70%)", ratio);
  });
}

function paintPoint(context, point, isLarge, isChosen, ratio) {
  circle(context, point, (isLarge ? 6.5 : 4.5) * ratio, isChosen ? CHOSEN : LIGHT, ratio);
}

function circle(context, [x, y], radius, fill, ratio) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = fill;
  context.fill();
  context.lineWidth = 1.5 * ratio;
  context.strokeStyle = INK;
  context.stroke();
}
