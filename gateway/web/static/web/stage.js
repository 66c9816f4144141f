import { element } from "./elements.js";
import { Pane } from "./pane.js";
import { Studies } from "./studies.js";

// Shows the selected image, and beside it another one that it is compared with. It passes the
// events "send", "stop" and "session" of its panes on.
export class Stage extends EventTarget {
  #queue;
  #studies = new Studies();
  #panes;
  #empty = element("empty");
  #linkBar = element("link");
  #linked = element("linked");
  #box = element("panes");
  #isComparing = false;

  // `drafts` holds the reviews of the images.
  constructor(queue, drafts) {
    super();
    this.#queue = queue;
    this.#panes = [new Pane(this.#studies, drafts), new Pane(this.#studies, drafts)];
    for (const pane of this.#panes) {
      pane.element.hidden = true;
      this.#box.append(pane.element);
      for (const kind of ["send", "stop", "session"]) {
        pane.addEventListener(kind, ({ detail }) => this.dispatchEvent(new CustomEvent(kind, { detail })));
      }
    }
    this.#panes[1].addEventListener("other", ({ detail }) => this.#showSecond(this.#choices()[detail]));
    this.#linked.addEventListener("change", () => this.#link());
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

  show(image) {
    this.#panes[0].show(image);
    this.#empty.hidden = image !== null;
    this.#keepUp();
    this.#trim();
  }

  // Show a second analysed image beside the selected one, or only the selected one again.
  compare(isComparing) {
    this.#isComparing = isComparing;
    this.#linkBar.hidden = !isComparing;
    this.#box.classList.toggle("two", isComparing);
    const choices = this.#choices();
    this.#showSecond(isComparing ? choices.find((image) => image !== this.selected) ?? null : null);
    this.#link();
  }

  focus() {
    this.#panes[0].focus();
  }

  clear() {
    this.compare(false);
    this.show(null);
  }

  #choices() {
    return this.#queue.answered.filter((image) => image.isShowable);
  }

  #showSecond(image) {
    this.#panes[1].show(image);
    this.#panes[1].offer(image === null ? [] : this.#choices());
    this.#trim();
  }

  // Take away what is no longer in the queue, and offer what is new.
  #keepUp() {
    if (!this.#isComparing) return;
    const [, second] = this.#panes;
    const choices = this.#choices();
    if (!choices.includes(second.image)) this.#showSecond(choices.find((image) => image !== this.selected) ?? null);
    else second.offer(choices);
  }

  #link() {
    const isLinked = this.#isComparing && this.#linked.checked;
    this.#panes[0].viewer.linkWith(isLinked ? this.#panes[1].viewer : null);
  }

  #trim() {
    this.#studies.trim(this.#panes.map((pane) => pane.image?.result).filter(Boolean));
  }
}
