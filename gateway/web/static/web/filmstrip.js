import { element } from "./elements.js";
import { ImageCard } from "./image_card.js";
import { message } from "./messages.js";

const STEPS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };

// The list of the queue's images, of which one is selected. It tells "select" with the image, or
// null, and "discard" with the image that a person removes.
export class Filmstrip extends EventTarget {
  #queue;
  #cards = new Map();
  #list = element("cards");
  #title = element("queue-title");
  selected = null;

  constructor(queue) {
    super();
    this.#queue = queue;
    queue.addEventListener("change", () => this.#show());
    this.#list.addEventListener("keydown", (event) => this.#press(event));
  }

  select(image) {
    const isNew = image !== this.selected;
    this.selected = image;
    for (const [other, card] of this.#cards) card.select(other === image);
    if (!isNew) return;
    this.#cards.get(image)?.show();
    this.dispatchEvent(new CustomEvent("select", { detail: image }));
  }

  // Select the next one of these images after the selected, from the top again after the last.
  selectNext(images) {
    const place = this.#queue.images.indexOf(this.selected);
    this.select(images.find((image) => this.#queue.images.indexOf(image) > place) ?? images[0]);
  }

  #show() {
    const { images } = this.#queue;
    const place = this.#focusedPlace();
    const cards = new Map(images.map((image) => [image, this.#cards.get(image) ?? this.#cardOf(image)]));
    for (const [image, card] of this.#cards) if (!cards.has(image)) card.element.remove();
    this.#cards = cards;
    const added = [...cards.values()].filter((card) => card.element.parentElement !== this.#list);
    this.#list.append(...added.map((card) => card.element));
    this.#title.textContent = message("queue.title", { count: images.length });
    const isKept = images.includes(this.selected);
    this.select(isKept ? this.selected : images[Math.min(Math.max(place, 0), images.length - 1)] ?? null);
    if (place >= 0 && this.#focusedPlace() < 0) this.#cards.get(this.selected)?.focus();
  }

  #cardOf(image) {
    const card = new ImageCard(image);
    card.addEventListener("pick", () => this.select(image));
    card.addEventListener("discard", () => this.#discard(image));
    return card;
  }

  #press(event) {
    const place = this.#focusedPlace();
    const { images } = this.#queue;
    if (place < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Delete") {
      this.#discard(images[place]);
    } else if (event.key in STEPS || event.key === "Home" || event.key === "End") {
      const ends = { Home: 0, End: images.length - 1 };
      const next = images[ends[event.key] ?? place + STEPS[event.key]];
      if (!next) return;
      this.select(next);
      this.#cards.get(next).focus();
    } else {
      return;
    }
    event.preventDefault();
  }

  #discard(image) {
    this.dispatchEvent(new CustomEvent("discard", { detail: image }));
  }

  // Return the place of the card that has the focus, or -1.
  #focusedPlace() {
    return [...this.#list.children].findIndex((card) => card.contains(document.activeElement));
  }
}
