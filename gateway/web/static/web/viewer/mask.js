import { runsOf } from "./rle.js";

// A binary mask, cropped to its bounds. `pixels` has a byte for each pixel of the crop, row by row;
// its top left pixel is at column `x`, row `y` of the image.
export class Mask {
  constructor(x, y, width, height, pixels) {
    Object.assign(this, { x, y, width, height, pixels });
  }

  // Return the mask that an answer holds. Raises where it is not one of an image of this size.
  static of({ format, size, counts }, imageWidth, imageHeight) {
    if (format !== "rle") throw new Error("The mask is not in run-length encoding.");
    if (size[0] !== imageHeight || size[1] !== imageWidth) throw new Error("The mask is of another image.");
    const segments = segmentsOf(runsOf(counts, imageWidth * imageHeight), imageHeight);
    const bounds = boundsOf(segments);
    const { x, y, width, height } = bounds;
    const pixels = new Uint8Array(width * height);
    for (let at = 0; at < segments.length; at += 3) {
      let pixel = (segments[at + 1] - y) * width + segments[at] - x;
      for (let row = segments[at + 1]; row < segments[at + 2]; row += 1, pixel += width) pixels[pixel] = 1;
    }
    return new Mask(x, y, width, height, pixels);
  }

  get isEmpty() {
    return this.width === 0;
  }

  // Return whether the pixel at this column and row of the image belongs to the mask.
  has(column, row) {
    const x = column - this.x;
    const y = row - this.y;
    return x >= 0 && y >= 0 && x < this.width && y < this.height && this.pixels[y * this.width + x] === 1;
  }
}

// Return the column, the first row and the row after the last of each vertical segment, in one list.
function segmentsOf(runs, imageHeight) {
  const segments = [];
  let place = 0;
  runs.forEach((length, index) => {
    const end = place + length;
    while (index % 2 === 1 && place < end) {
      const column = Math.floor(place / imageHeight);
      const start = column * imageHeight;
      const stop = Math.min(end, start + imageHeight);
      segments.push(column, place - start, stop - start);
      place = stop;
    }
    place = end;
  });
  return segments;
}

function boundsOf(segments) {
  if (segments.length === 0) return { x: 0, y: 0, width: 0, height: 0 };
  let top = Infinity;
  let bottom = 0;
  for (let at = 0; at < segments.length; at += 3) {
    top = Math.min(top, segments[at + 1]);
    bottom = Math.max(bottom, segments[at + 2]);
  }
  const x = segments[0];
  return { x, y: top, width: segments[segments.length - 3] + 1 - x, height: bottom - top };
}
