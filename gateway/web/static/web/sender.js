import { SessionChanged, user } from "./session.js";

const AT_ONCE = 2;

// Sends images, at most two at once, in the order in which they were given.
export class Sender {
  #line = [];
  #active = new Map(); // each image that is sent, with what aborts it
  #isPaused = false;
  #authorise;
  #onSessionChange;

  // `authorise` returns the headers that let a request in; `onSessionChange` gets a SessionChanged.
  constructor(authorise, onSessionChange) {
    this.#authorise = authorise;
    this.#onSessionChange = onSessionChange;
  }

  send(images) {
    for (const image of images) {
      image.enter("queued");
      this.#line.push(image);
    }
    this.#fill();
  }

  // From here on a request of these images writes nothing more: the next one may follow at once.
  cancel(images) {
    for (const image of images) {
      if (!image.isBusy) continue;
      this.#line = this.#line.filter((other) => other !== image);
      this.#active.get(image)?.abort();
      this.#active.delete(image);
      image.enter("cancelled");
    }
    this.#fill();
  }

  // Begin no further request until `resume`.
  pause() {
    this.#isPaused = true;
  }

  resume() {
    this.#isPaused = false;
    this.#fill();
  }

  #fill() {
    while (!this.#isPaused && this.#active.size < AT_ONCE && this.#line.length) {
      this.#run(this.#line.shift());
    }
  }

  async #run(image) {
    const sending = new AbortController();
    this.#active.set(image, sending);
    try {
      const headers = await this.#authorise();
      sending.signal.throwIfAborted();
      await image.analyse(headers, sending.signal);
    } catch (error) {
      if (!sending.signal.aborted) this.#fail(image, error);
    }
    if (this.#active.get(image) === sending) this.#active.delete(image);
    this.#fill();
  }

  #fail(image, error) {
    this.#active.delete(image);
    if (error instanceof SessionChanged || (error.status === 401 && user)) {
      this.#isPaused = true;
      this.#line.unshift(image); // it goes on with the session
      image.enter("queued");
      this.#onSessionChange(error instanceof SessionChanged ? error : new SessionChanged(null));
      return;
    }
    if (error.isGeneral) this.#line.splice(0).forEach((other) => other.enter("waiting"));
    image.enter("failed", error);
  }
}
