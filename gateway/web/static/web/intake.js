import { element, text } from "./elements.js";
import { pastedImages, sortDropped, sortFiles } from "./files.js";
import { message } from "./messages.js";

// Takes images into the queue, by whatever way they come: chosen, taken with the camera, dropped or
// pasted. What is not taken is named with its reason.
export class Intake {
  #queue;
  #onAdded;
  #refused = element("refused");
  #empty = element("empty");
  #form = element("form");
  #inputs = [element("file"), element("camera")];
  #pasted = 0;

  // `onAdded` gets the images that came.
  constructor(queue, onAdded) {
    this.#queue = queue;
    this.#onAdded = onAdded;
    for (const input of this.#inputs) {
      input.addEventListener("change", () => this.#takeFrom(input));
      if (input.files.length) this.#takeFrom(input); // chosen before this script was there
    }
    this.#empty.addEventListener("click", () => this.#inputs[0].click());
    this.#listenToDrop();
    document.addEventListener("paste", (event) => this.#paste(event));
  }

  get isOpen() {
    return this.#form.isConnected;
  }

  // Return the images that were added for these files.
  take(files) {
    return this.#add(sortFiles(files, this.#queue.room));
  }

  showRefused(refused) {
    const lines = refused.map(({ name, reason }) => {
      const line = document.createElement("li");
      line.append(text("bdi", name), `: ${reason}.`);
      return line;
    });
    const list = document.createElement("ul");
    list.append(...lines);
    const close = text("button", message("close"), "quiet small");
    close.type = "button";
    close.addEventListener("click", () => {
      this.showRefused([]);
      this.#inputs[0].focus();
    });
    this.#refused.replaceChildren(text("strong", message("refused.title")), close, list);
    this.#refused.hidden = refused.length === 0;
  }

  #takeFrom(input) {
    this.take([...input.files]);
    input.value = ""; // so that the same file can be chosen again
  }

  // Files whose kind is known only after the queue was cleared are not added to the next one.
  async #add(sorting) {
    const { examinationId } = this.#queue;
    const { images, refused } = await sorting;
    if (examinationId !== this.#queue.examinationId || !this.isOpen) return [];
    this.showRefused(refused);
    const added = this.#queue.add(images.slice(0, this.#queue.room));
    this.#onAdded(added);
    return added;
  }

  #paste(event) {
    const files = pastedImages(event.clipboardData, this.#pasted + 1);
    if (!files.length || !this.isOpen) return;
    event.preventDefault();
    this.#pasted += files.length;
    this.take(files);
  }

  #listenToDrop() {
    const over = (isOver) => document.body.classList.toggle("over", isOver && this.isOpen);
    const holdsFiles = ({ dataTransfer }) => dataTransfer.types.includes("Files");
    document.addEventListener("dragover", (event) => over(holdsFiles(event)));
    document.addEventListener("dragleave", ({ relatedTarget }) => relatedTarget || over(false));
    document.addEventListener("drop", (event) => {
      over(false);
      if (holdsFiles(event) && this.isOpen) this.#add(sortDropped(event.dataTransfer, this.#queue.room));
    });
  }
}
