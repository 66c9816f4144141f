import { copyOf, text } from "./elements.js";
import { downloadName } from "./files.js";
import { provenance } from "./findings.js";
import { FlatView } from "./flat_view.js";
import { headlineOfModel, showProgress, stateOf } from "./image_card.js";
import { message } from "./messages.js";
import { PictureFrame } from "./picture_frame.js";
import { explain } from "./problem.js";
import { consequence, reasonsOf } from "./quality.js";
import { ReviewPanel } from "./review/review_panel.js";
import { demoKey } from "./session.js";
import { Viewer } from "./viewer/viewer.js";

// Shows one image in full: before it is analysed the picture, then the findings in a viewer. What a
// person wants done with the image is told by the events "send" and "stop", and a changed session by
// "session".
export class Pane extends EventTarget {
  element = copyOf("pane").firstElementChild;
  image = null;
  #studies;
  #review = null;
  #shown = null; // the result in the viewer or the flat view
  #error = null;
  #previewed = null; // the blob in the preview
  #jsonUrl = "";
  #listener = () => this.#update();

  // `adjustments` is how the pictures of all panes are shown.
  constructor(studies, drafts, adjustments) {
    super();
    this.#studies = studies;
    this.viewer = new Viewer(this.#part(".view"), adjustments);
    // Whoever visits a public demo uses the same key, and has nothing to review.
    if (demoKey === undefined) this.#review = this.#makeReview(drafts);
    this.flat = new FlatView(this.#part(".flat"), () => this.#sendAgain());
    this.preview = new PictureFrame(this.#part(".preview img"), () => (this.#part(".no-preview").hidden = false));
    for (const kind of ["send", "stop"]) {
      this.#part(`.${kind}`).addEventListener("click", () => this.#ask(kind));
    }
    this.#part(".save-picture").addEventListener("click", () => this.#savePicture());
  }

  #makeReview(drafts) {
    const review = new ReviewPanel(this.viewer, drafts);
    review.addEventListener("session", ({ detail }) => this.dispatchEvent(new CustomEvent("session", { detail })));
    review.addEventListener("reviewed", ({ detail }) => this.image.review(detail));
    return review;
  }

  // Show this image; null shows none.
  show(image) {
    if (image === this.image) return;
    this.#clear();
    this.image?.removeEventListener("change", this.#listener);
    this.image = image;
    this.element.hidden = image === null;
    if (image === null) return;
    image.addEventListener("change", this.#listener);
    this.#part(".name bdi").textContent = image.name;
    this.#update();
  }

  focus() {
    this.#part(".name").focus();
  }

  #update() {
    const { image } = this;
    if (image.isReleased) return;
    const { state, result, error } = image;
    this.element.dataset.state = state;
    this.#part(".state").textContent = result ? "" : stateOf(image);
    showProgress(this.#part("progress"), image);
    this.#part(".problem").hidden = error === null;
    if (error !== this.#error) this.#part(".problem").replaceChildren(...(error ? explain(error) : []));
    this.#error = error;
    this.#part(".send").hidden = !image.isSendable || state === "waiting";
    this.#part(".stop").hidden = !image.isBusy;
    if (result !== this.#shown || result === null) this.#showResult();
    if (result !== null) this.#showHeadline(result);
  }

  async #showResult() {
    const { image } = this;
    const { result } = image;
    if (this.#shown !== null) this.#clearResult();
    this.#shown = result;
    if (result === null) {
      this.#showPreview();
      return;
    }
    this.#describe(result);
    if (image.isShowable === false) {
      this.#showFlat();
      return;
    }
    const study = await this.#studyOf(image);
    if (image !== this.image || result !== this.#shown) return;
    if (study === null) {
      this.#showFlat();
      return;
    }
    this.#hidePreview();
    this.#part(".view").hidden = false;
    this.viewer.show(study);
    this.#review?.show(result, study);
  }

  // Return the study of an image, or null where the browser cannot show it as the service saw it.
  async #studyOf(image) {
    try {
      return await this.#studies.of(image);
    } catch (error) {
      console.warn(error);
      return null;
    }
  }

  #describe(result) {
    const { image } = this;
    this.#part(".headline").hidden = false;
    this.#part(".count").classList.toggle("unreliable", result.isUngradable);
    this.#part(".demo-answer").hidden = !result.isOfDemo;
    this.#part(".ungradable").hidden = !result.isUngradable;
    if (result.isUngradable) {
      const { quality } = result.answer;
      this.#part(".reasons").replaceChildren(...reasonsOf(quality).map((reason) => text("li", reason)));
      this.#part(".consequence").textContent = consequence(quality);
    }
    this.#part(".provenance").textContent = provenance(result);
    // The record is the answer itself, byte for byte.
    this.#jsonUrl = URL.createObjectURL(new Blob([result.body], { type: "application/json" }));
    const json = this.#part(".save-json");
    json.href = this.#jsonUrl;
    json.download = this.#downloadName("record.json");
    json.hidden = false;
    const picture = this.#part(".save-picture");
    picture.hidden = false;
    json.ariaLabel = message("save.json", { name: image.name });
    picture.ariaLabel = message("save.picture", { name: image.name });
  }

  // What the model found stays, whatever a review says.
  #showHeadline(result) {
    const { reviewed } = this.image;
    this.#part(".count").textContent = reviewed === "" ? result.headline : headlineOfModel(result);
    this.#part(".reviewed").textContent = reviewed;
  }

  #showFlat() {
    this.#hidePreview();
    this.flat.show(this.image);
    this.#part(".save-picture").hidden = this.#shown.picture === null;
  }

  #showPreview() {
    const { image } = this;
    this.#part(".preview").hidden = false;
    this.#part(".no-preview").hidden = image.isShowable !== false;
    const isComing = image.isSendable || image.isBusy;
    this.#part(".no-preview").textContent = message(isComing ? "preview.later" : "preview.none");
    if (image.isShowable === false || this.#previewed === image.blob) return;
    this.#previewed = image.blob;
    this.preview.show(image.blob, image.name);
  }

  #hidePreview() {
    this.preview.clear();
    this.#previewed = null;
    this.#part(".preview").hidden = true;
  }

  #clearResult() {
    this.#shown = null;
    this.#review?.show(null, null);
    this.viewer.show(null);
    this.#part(".view").hidden = true;
    this.flat.clear();
    URL.revokeObjectURL(this.#jsonUrl);
    this.#part(".headline").hidden = true;
    this.#part(".count").textContent = "";
    this.#part(".reviewed").textContent = "";
    this.#part(".ungradable").hidden = true;
    this.#part(".reasons").replaceChildren();
    this.#part(".provenance").textContent = "";
    this.#part(".save-json").hidden = true;
    this.#part(".save-picture").hidden = true;
  }

  #clear() {
    this.#clearResult();
    this.#hidePreview();
    this.#part(".problem").replaceChildren();
    this.#error = null;
    this.#part(".name bdi").textContent = "";
    this.#part(".state").textContent = "";
  }

  #sendAgain() {
    const { image } = this;
    image.needPicture();
    this.#ask("send");
  }

  async #savePicture() {
    const { image } = this;
    const result = this.#shown;
    const isFlat = this.#part(".view").hidden;
    const picture = isFlat ? result.picture : await this.viewer.picture({ maxSide: Infinity });
    if (image !== this.image || result !== this.#shown) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(picture);
    link.download = this.#downloadName(isFlat ? "lesions.jpg" : "lesions.png");
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  #downloadName(ending) {
    const { time, requestId } = this.#shown;
    return downloadName(this.image.name, time, requestId, ending);
  }

  #ask(kind) {
    this.dispatchEvent(new CustomEvent(kind, { detail: this.image }));
  }

  #part(selector) {
    return this.element.querySelector(selector);
  }
}
