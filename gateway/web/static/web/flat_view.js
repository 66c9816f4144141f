import { text } from "./elements.js";
import { lesionTable } from "./findings.js";
import { message } from "./messages.js";
import { PictureFrame } from "./picture_frame.js";

// The result of an image that the browser cannot show itself, such as a TIFF: the picture that the
// service drew, and the lesions as a table.
export class FlatView {
  #root;
  #picture = document.createElement("img");
  #frame;
  #missing = text("p", message("result.withoutPicture"), "notice");
  #again = text("button", message("result.again"), "quiet small");

  constructor(root, onAgain) {
    this.#root = root;
    this.#picture.draggable = false;
    this.#picture.className = "overlay";
    this.#again.type = "button";
    this.#again.addEventListener("click", onAgain);
    this.#frame = new PictureFrame(this.#picture, () => (this.#missing.hidden = false));
  }

  show({ result, name }) {
    const { picture, isWithheld, count } = result;
    const isDrawn = picture !== null;
    this.#missing.hidden = isDrawn;
    this.#again.hidden = isDrawn;
    if (isDrawn) this.#frame.show(picture, isWithheld ? name : message("result.drawn", { name }));
    const table = isWithheld || count === 0 ? [] : [lesionTable(result, name)];
    this.#root.replaceChildren(this.#picture, this.#missing, this.#again, ...table);
    this.#root.hidden = false;
  }

  clear() {
    this.#frame.clear();
    this.#root.replaceChildren();
    this.#root.hidden = true;
  }
}
