const MIDDLE = 0.5; // the level that contrast leaves as it is

// Change the colours of what is painted within these bounds of the canvas, [left, top, right, bottom] in
// pixels, as CSS's brightness() and contrast() do: level * gain + offset, levels from 0 to 1. A green filter
// leaves the green channel alone. It is all done by blending, since WebKit has no filter of a canvas.
export function recolour(context, bounds, { brightness, contrast, isGreen }) {
  const slope = 1 + contrast / 100;
  const gain = slope * (1 + brightness / 100);
  const offset = MIDDLE * (1 - slope);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.globalAlpha = 1;
  const fill = filler(context, bounds);
  // Of a negative offset first, so that what it cuts off at 0 is what the sum would.
  if (offset < 0) subtract(fill, -offset / gain);
  multiply(fill, gain);
  if (offset > 0) fill("lighter", grey(offset));
  if (isGreen) fill("multiply", "rgb(0 255 0)");
  context.globalCompositeOperation = "source-over";
}

// Return a function that blends a colour over whole pixels: a part of one would be blended in part.
function filler(context, [left, top, right, bottom]) {
  const [x, y] = [Math.floor(left), Math.floor(top)];
  return (mode, colour) => {
    context.globalCompositeOperation = mode;
    context.fillStyle = colour;
    context.fillRect(x, y, Math.ceil(right) - x, Math.ceil(bottom) - y);
  };
}

function multiply(fill, gain) {
  if (gain < 1) fill("multiply", grey(gain));
  if (gain > 1) fill("color-dodge", grey(1 - 1 / gain)); // divides by 1 less the level
}

// The negative has the level added, and is turned back.
function subtract(fill, level) {
  fill("difference", "rgb(255 255 255)");
  fill("lighter", grey(level));
  fill("difference", "rgb(255 255 255)");
}

function grey(level) {
  return `rgb(${[level, level, level].map((each) => each * 255).join(" ")})`;
}
