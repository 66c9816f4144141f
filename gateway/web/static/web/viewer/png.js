// Return a canvas as a PNG. It is encoded beside the page: on the page itself a browser waits for a pause of
// what the person does, which may take a second. Raises an error where the canvas is too large.
export async function pngOf(canvas) {
  const bitmap = await createImageBitmap(canvas);
  const worker = new Worker(new URL("./png_worker.js", import.meta.url), { type: "module" });
  try {
    return await new Promise((resolve, reject) => {
      worker.addEventListener("message", ({ data: png }) => {
        if (png === null) reject(new Error("The picture is too large."));
        else resolve(png);
      });
      worker.addEventListener("error", () => reject(new Error("The worker does not start.")));
      worker.postMessage(bitmap, [bitmap]);
    });
  } finally {
    worker.terminate();
  }
}
