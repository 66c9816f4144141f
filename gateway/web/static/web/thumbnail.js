import { isOfKnownKind } from "./viewer/metadata.js";
import { uprightBitmap } from "./viewer/upright.js";

const MOST_PIXELS = 320; // of the longer side
const KIND_BYTES = 12;

// Return a small JPEG of an image, or null where the browser cannot show the file as the viewer does.
// `image` is what the answer says of the image; without it the browser turns the image as it knows.
export async function thumbnailOf(blob, image) {
  let bitmap;
  try {
    const start = new Uint8Array(await blob.slice(0, KIND_BYTES).arrayBuffer());
    if (!isOfKnownKind(start)) return null;
    bitmap = image === undefined ? await createImageBitmap(blob) : await uprightBitmap(blob, image);
  } catch {
    return null;
  }
  const scale = Math.min(1, MOST_PIXELS / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.85));
}
