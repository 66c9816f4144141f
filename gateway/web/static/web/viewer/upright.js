import { withoutMetadata } from "./metadata.js";

// The matrices [a, b, c, d] that turn a stored picture upright, by its EXIF orientation (CIPA DC-008,
// 4.6.5): a stored pixel goes to (a x + c y, b x + d y), apart from an offset.
const TURNS = {
  1: [1, 0, 0, 1],
  2: [-1, 0, 0, 1],
  3: [-1, 0, 0, -1],
  4: [1, 0, 0, -1],
  5: [0, 1, 1, 0],
  6: [0, 1, -1, 0],
  7: [0, -1, -1, 0],
  8: [0, -1, 1, 0],
};

// Return the image in a file as the service saw it: turned upright by the orientation that its answer
// names. Raises where the browser cannot show the file, or where the answer is older than that field
// and the file has metadata.
export async function uprightBitmap(blob, { orientation }) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const parts = withoutMetadata(bytes);
  if (!orientation && parts.reduce((sum, part) => sum + part.length, 0) !== bytes.length) {
    throw new Error("The answer does not tell how the image was turned.");
  }
  // In one part: Firefox recognises an image by what it reads first, which is the first part alone.
  const whole = await new Blob(parts).arrayBuffer();
  const stored = await createImageBitmap(new Blob([whole]));
  return !orientation || orientation === 1 ? stored : turned(stored, TURNS[orientation]);
}

function turned(stored, [a, b, c, d]) {
  const { width, height } = stored;
  const canvas = a === 0 ? new OffscreenCanvas(height, width) : new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { alpha: false });
  const [right, down] = [a + c < 0 ? canvas.width : 0, b + d < 0 ? canvas.height : 0];
  context.setTransform(a, b, c, d, right, down);
  context.drawImage(stored, 0, 0);
  stored.close();
  return canvas.transferToImageBitmap();
}
