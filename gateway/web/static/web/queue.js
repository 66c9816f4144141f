import { newExaminationId } from "./examination.js";
import { MOST_IMAGES } from "./files.js";
import { QueuedImage } from "./queued_image.js";

// The images of one examination. It tells by the event "change" that images came or went, and by
// "update" that one of them changed.
export class Queue extends EventTarget {
  images = [];
  examinationId = newExaminationId();

  get room() {
    return MOST_IMAGES - this.images.length;
  }

  get answered() {
    return this.images.filter((image) => image.result);
  }

  get sendable() {
    return this.images.filter((image) => image.isSendable);
  }

  get failed() {
    return this.images.filter((image) => image.state === "failed");
  }

  // Those that were chosen, and have no end yet.
  get unanalysed() {
    return this.images.filter((image) => image.state === "waiting" || image.isBusy);
  }

  get busy() {
    return this.images.filter((image) => image.isBusy);
  }

  // Add the files after those that are there, and return their images.
  add(files) {
    const added = files.map((file) => new QueuedImage(file));
    for (const image of added) image.addEventListener("change", () => this.#tell("update"));
    this.images.push(...added);
    this.#tell("change");
    return added;
  }

  remove(image) {
    this.images = this.images.filter((other) => other !== image);
    this.#tell("change");
    image.release();
  }

  // Forget all images; those that follow are of another examination.
  clear() {
    const images = this.images.splice(0);
    this.examinationId = newExaminationId();
    this.#tell("change");
    images.forEach((image) => image.release());
  }

  #tell(kind) {
    this.dispatchEvent(new Event(kind));
  }
}
