import { byAge, Comparison } from "./comparison.js";
import { element } from "./elements.js";
import { Pane } from "./pane.js";
import { reviewOf } from "./review/image_review.js";
import { Studies } from "./studies.js";
import { Adjustments } from "./viewer/adjustments.js";

const WIDE = "(min-width: 60rem)"; // the image is beside the queue

// Shows the selected image, and beside it another one that it is compared with. It passes the
// events "send", "stop" and "session" of its panes on.
export class Stage extends EventTarget {
  #queue;
  #drafts;
  #studies = new Studies();
  #panes;
  #empty = element("empty");
  #comparison;
  #box = element("panes");
  #isComparing = false;
  #isSwapped = false;

  // `drafts` holds the reviews of the images.
  constructor(queue, drafts) {
    super();
    this.#queue = queue;
    this.#drafts = drafts;
    this.#comparison = new Comparison((image) => this.#reviewOf(image));
    drafts.addEventListener("change", ({ detail }) => this.#comparison.refresh(detail));
    // Two images are compared with the same adjustments, whether or not they move together.
    const adjustments = new Adjustments();
    this.#panes = [1, 2].map(() => new Pane(this.#studies, drafts, adjustments));
    for (const pane of this.#panes) {
      pane.element.hidden = true;
      this.#box.append(pane.element);
      for (const kind of ["send", "stop", "session"]) {
        pane.addEventListener(kind, ({ detail }) => this.dispatchEvent(new CustomEvent(kind, { detail })));
      }
    }
    for (const { viewer } of this.#panes) viewer.addEventListener("scale", () => this.#arrange());
    this.#comparison.addEventListener("other", ({ detail }) => this.#showSecond(detail));
    this.#comparison.addEventListener("link", () => this.#link());
    this.#comparison.addEventListener("session", ({ detail }) =>
      this.dispatchEvent(new CustomEvent("session", { detail })),
    );
    this.#comparison.addEventListener("swap", () => {
      this.#isSwapped = !this.#isSwapped;
      this.#arrange();
    });
    queue.addEventListener("change", () => {
      this.#keepUp();
      this.#studies.retain(queue.answered.map(({ result }) => result));
    });
    queue.addEventListener("update", () => this.#keepUp());
  }

  get selected() {
    return this.#panes[0].image;
  }

  get isComparing() {
    return this.#isComparing;
  }

  // Show this image; while two are compared it takes the place of the selected one.
  show(image) {
    const [first, second] = this.#panes;
    const before = first.image;
    first.show(image);
    if (this.#isComparing && image === second.image && this.#choices().includes(before)) second.show(before);
    this.#isSwapped = false;
    this.#empty.hidden = image !== null;
    this.#keepUp();
    this.#trim();
  }

  // Show a second analysed image beside the selected one, or only the selected one again.
  compare(isComparing) {
    this.#isComparing = isComparing;
    this.#box.classList.toggle("two", isComparing);
    this.#showSecond(isComparing ? (this.#choices()[0] ?? null) : null);
    this.#link();
    if (isComparing) this.#revealBoth();
  }

  // Bring the image into sight where it lies below the queue.
  reveal() {
    if (!matchMedia(WIDE).matches) element("stage").scrollIntoView({ block: "start" });
  }

  // Bring the table with the images below it into sight, or on a phone the images.
  #revealBoth() {
    const isPhone = matchMedia("(max-width: 40rem)").matches;
    element(isPhone ? "panes" : "comparison").scrollIntoView({ block: "start" });
  }

  focus() {
    this.#panes[0].focus();
  }

  clear() {
    this.compare(false);
    this.show(null);
  }

  // A pane shows an image without a study where the browser cannot make one, and tells why.
  async #reviewOf(image) {
    const study = image.isShowable === false ? null : await this.#studies.of(image).catch(() => null);
    return reviewOf(image.result, study, this.#drafts);
  }

  // Return the images with which the selected one can be compared.
  #choices() {
    return this.#queue.answered.filter((image) => image.isShowable && image !== this.selected);
  }

  #showSecond(image) {
    this.#panes[1].show(image);
    this.#isSwapped = false;
    this.#arrange();
    this.#trim();
  }

  // Take away what is no longer in the queue, and offer what is new.
  #keepUp() {
    if (!this.#isComparing) return;
    const choices = this.#choices();
    if (choices.includes(this.#panes[1].image)) this.#arrange();
    else this.#showSecond(choices[0] ?? null);
  }

  // Put the older image on the left, where their files tell that, or the other way round.
  #arrange() {
    const [first, second] = this.#panes;
    const isPair = this.#isComparing && first.image !== null && second.image !== null;
    const isSecondLeft = isPair && (byAge([first.image, second.image])[0] === second.image) !== this.#isSwapped;
    const panes = isSecondLeft ? [second, first] : [first, second];
    if (this.#box.firstElementChild !== panes[0].element) this.#box.prepend(panes[0].element);
    if (isPair) this.#comparison.show(panes.map(({ image }) => image), second.image, this.#choices());
    else this.#comparison.hide();
  }

  #link() {
    const isLinked = this.#isComparing && this.#comparison.isLinked;
    this.#panes[0].viewer.linkWith(isLinked ? this.#panes[1].viewer : null);
  }

  #trim() {
    this.#studies.trim(this.#panes.map((pane) => pane.image?.result).filter(Boolean));
  }
}
