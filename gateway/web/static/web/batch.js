import { ImageCard } from "./image_card.js";
import { SessionChanged, user } from "./session.js";

// The images that are chosen, each with its card. They are sent one after the other.
export class Batch {
  #cards = [];
  #list;
  #running = null;
  #current = null;
  #announce;

  // `list` is the element that holds the cards; `announce` tells a line of progress.
  constructor(list, announce) {
    this.#list = list;
    this.#announce = announce;
  }

  get isEmpty() {
    return this.#cards.length === 0;
  }

  get isRunning() {
    return this.#running !== null;
  }

  get isAnswered() {
    return this.#cards.some((card) => card.headline);
  }

  get isOfDemo() {
    return this.#cards.some((card) => card.isOfDemo);
  }

  // Replace the images, and all that was found, by these.
  choose(files) {
    this.clear();
    this.#cards = files.map((file) => new ImageCard(file));
    this.#list.replaceChildren(...this.#cards.map((card) => card.element));
  }

  clear() {
    this.#stop();
    this.#cards.splice(0).forEach((card) => card.remove());
    this.#announce("");
  }

  cancel() {
    this.#stop();
    this.#announce("Cancelled.");
  }

  // Send each image anew, and return whether this came to its end. `authorise` returns the headers
  // that let a request in. Raises SessionChanged; what else goes wrong is shown with its image.
  async run(query, authorise) {
    const running = new AbortController();
    this.#running = running;
    const cards = [...this.#cards];
    cards.forEach((card) => card.reset());
    try {
      for (const [index, card] of cards.entries()) {
        const place = cards.length > 1 ? ` (${index + 1} of ${cards.length})` : "";
        this.#announce(`Looking for lesions in ${card.name}${place} …`);
        if (!(await this.#analyse(card, query, authorise, running.signal))) break;
      }
    } finally {
      if (this.#running === running) this.#running = null;
    }
    if (running.signal.aborted) return false;
    this.#announce(summary(cards));
    return true;
  }

  // From here on the run writes nothing more: the next one may already use its cards.
  #stop() {
    this.#running?.abort();
    this.#running = null;
    this.#current?.showCancelled();
    this.#current = null;
  }

  // Return whether the images after this one are to be sent.
  async #analyse(card, query, authorise, signal) {
    this.#current = card;
    try {
      const headers = await authorise();
      signal.throwIfAborted();
      await card.analyse(query, headers, signal);
      this.#current = null;
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      this.#current = null;
      if (error instanceof SessionChanged) throw error;
      if (error.status === 401 && user) throw new SessionChanged(null);
      card.showProblem(error);
      return !error.isGeneral;
    }
  }
}

function summary(cards) {
  const ungradable = cards.filter((card) => card.isUngradable).length;
  const check = ungradable === 0 ? "" : ` ${ungradable === 1 ? "1 image needs" : `${ungradable} images need`} a check.`;
  if (cards.length === 1) return cards[0].headline ? `${cards[0].name}: ${cards[0].headline}.${check}` : "";
  const answered = cards.filter((card) => card.headline).length;
  return `${answered} of ${cards.length} images are analysed.${check}`;
}
