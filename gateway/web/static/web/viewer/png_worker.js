// Runs beside the page: answers each bitmap with its PNG, or with null where the browser cannot encode it.
self.addEventListener("message", async ({ data: bitmap }) => {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d", { alpha: false }).drawImage(bitmap, 0, 0);
  bitmap.close();
  self.postMessage(await canvas.convertToBlob({ type: "image/png" }).catch(() => null));
});
