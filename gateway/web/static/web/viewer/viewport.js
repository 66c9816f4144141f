const MOST_ZOOM = 16; // screen pixels for a pixel of the image
const AROUND = 0.6; // of the screen, for a box that is shown large
const EDGE = 24; // the screen pixels of an image that stay in view at least

// What of an image is shown on a screen of `width` by `height` device pixels: `scale` is screen pixels
// for a pixel of the image, and (`x`, `y`) the place of the image in the middle of the screen. Each
// change dispatches "change".
export class Viewport extends EventTarget {
  constructor() {
    super();
    Object.assign(this, { width: 1, height: 1, imageWidth: 1, imageHeight: 1, scale: 1, x: 0.5, y: 0.5 });
  }

  // The scale at which the whole image is shown. A small one is not enlarged to more than 8 times.
  get fitScale() {
    return Math.min(this.width / this.imageWidth, this.height / this.imageHeight, 8);
  }

  get isFit() {
    return this.scale <= this.fitScale * 1.001;
  }

  get most() {
    return Math.max(MOST_ZOOM, this.fitScale);
  }

  // Show the whole of an image of this size.
  open(imageWidth, imageHeight) {
    Object.assign(this, { imageWidth, imageHeight });
    this.fit();
  }

  resize(width, height) {
    const wasFit = this.isFit;
    Object.assign(this, { width, height });
    this.set(wasFit ? { ...this.whole } : this);
  }

  get whole() {
    return { scale: this.fitScale, x: this.imageWidth / 2, y: this.imageHeight / 2 };
  }

  fit() {
    this.set(this.whole);
  }

  // Return the view nearest to the asked one that keeps the image in sight.
  allowed({ scale, x, y }) {
    const kept = Math.min(Math.max(scale, this.fitScale), this.most);
    return {
      scale: kept,
      x: within(x, this.width / kept, this.imageWidth),
      y: within(y, this.height / kept, this.imageHeight),
    };
  }

  set(view) {
    Object.assign(this, this.allowed(view));
    this.dispatchEvent(new Event("change"));
  }

  panBy(right, down) {
    this.set({ scale: this.scale, x: this.x + right / this.scale, y: this.y + down / this.scale });
  }

  // Return the view with another scale that keeps the place of the image under this point of the screen.
  zoomed(factor, [right, down] = [this.width / 2, this.height / 2]) {
    const scale = Math.min(Math.max(this.scale * factor, this.fitScale), this.most);
    const [x, y] = this.toImage([right, down]);
    return { scale, x: x - (right - this.width / 2) / scale, y: y - (down - this.height / 2) / scale };
  }

  // Return the view that shows this box, XYXY of the image: this one where it does so already.
  showing([x1, y1, x2, y2]) {
    const [left, top] = this.toScreen([x1, y1]);
    const [right, bottom] = this.toScreen([x2, y2]);
    const isInView = left >= EDGE && top >= EDGE && right <= this.width - EDGE && bottom <= this.height - EDGE;
    if (isInView || this.isFit) return { scale: this.scale, x: this.x, y: this.y };
    const most = Math.min((this.width - 2 * EDGE) / (x2 - x1), (this.height - 2 * EDGE) / (y2 - y1));
    return { scale: Math.min(this.scale, most), x: (x1 + x2) / 2, y: (y1 + y2) / 2 };
  }

  // Return a view that shows this box large, with room around it.
  around([x1, y1, x2, y2]) {
    const scale = Math.min(this.width / (x2 - x1), this.height / (y2 - y1)) * AROUND;
    return { scale: Math.min(Math.max(scale, this.scale), this.most), x: (x1 + x2) / 2, y: (y1 + y2) / 2 };
  }

  toImage([right, down]) {
    return [this.x + (right - this.width / 2) / this.scale, this.y + (down - this.height / 2) / this.scale];
  }

  toScreen([x, y]) {
    return [(x - this.x) * this.scale + this.width / 2, (y - this.y) * this.scale + this.height / 2];
  }

  // The view in relative coordinates, which another image can take over.
  get relative() {
    return { zoom: this.scale / this.fitScale, x: this.x / this.imageWidth, y: this.y / this.imageHeight };
  }

  setRelative({ zoom, x, y }) {
    this.set({ scale: zoom * this.fitScale, x: x * this.imageWidth, y: y * this.imageHeight });
  }
}

// Return the middle of what is shown of a side, so that the image fills the screen or lies in its middle.
function within(middle, shown, side) {
  return shown >= side ? side / 2 : Math.min(Math.max(middle, shown / 2), side - shown / 2);
}
