const SMALLEST_SIDE = 512;

// An image with copies of half the sides, a quarter and so on: a large image that is shown small is
// drawn from a small one.
export class Levels {
  #bitmaps;

  constructor(bitmaps) {
    this.#bitmaps = bitmaps;
    this.width = bitmaps[0].width;
    this.height = bitmaps[0].height;
  }

  // Return the levels of an image.
  static async of(bitmap) {
    const bitmaps = [bitmap];
    try {
      while (Math.max(bitmaps.at(-1).width, bitmaps.at(-1).height) > 2 * SMALLEST_SIDE) {
        const finer = bitmaps.at(-1);
        bitmaps.push(
          await createImageBitmap(finer, {
            resizeWidth: Math.ceil(finer.width / 2),
            resizeHeight: Math.ceil(finer.height / 2),
            resizeQuality: "medium",
          }),
        );
      }
    } catch (error) {
      bitmaps.forEach((bitmap) => bitmap.close());
      throw error;
    }
    return new Levels(bitmaps);
  }

  get smallest() {
    return this.#bitmaps.at(-1);
  }

  // Return the smallest copy that has a pixel for each screen pixel at this scale.
  at(scale) {
    const level = Math.max(0, Math.floor(-Math.log2(scale)));
    return this.#bitmaps[Math.min(level, this.#bitmaps.length - 1)];
  }

  release() {
    this.#bitmaps.splice(0).forEach((bitmap) => bitmap.close());
  }
}
