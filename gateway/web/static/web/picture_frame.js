// An <img> that shows a blob, and gives its memory back.
export class PictureFrame {
  #image;
  #url = "";

  // `onFailure` is called where the browser cannot show what is in the blob.
  constructor(image, onFailure) {
    this.#image = image;
    image.addEventListener("error", () => {
      if (!this.#url) return;
      image.hidden = true;
      onFailure();
    });
  }

  show(blob, alt) {
    this.clear();
    this.#url = URL.createObjectURL(blob);
    Object.assign(this.#image, { src: this.#url, alt, hidden: false });
  }

  clear() {
    URL.revokeObjectURL(this.#url);
    this.#url = "";
    this.#image.hidden = true;
    this.#image.removeAttribute("src");
  }
}
