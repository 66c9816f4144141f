import { areMeasured, headOf, rowsOf } from "./comparison_table.js";
import { element } from "./elements.js";
import { message } from "./messages.js";
import { judges } from "./review/after_review.js";
import { whoAndWhen } from "./review/earlier.js";
import { SessionChanged } from "./session.js";
import { Scale } from "./viewer/scale.js";

const MINUTE = 60_000; // milliseconds; files that are closer were copied together

// The part above two images that are compared: which one is compared with, whether both move together,
// and a table of what was found in each, and of what is left of it after its review. Dispatches "other"
// with the image that a person chooses, "swap" and "link", and "session" with a SessionChanged.
export class Comparison extends EventTarget {
  #root = element("comparison");
  #select = element("compared-with");
  #linked = element("linked");
  #table = element("comparison-table");
  #note = element("comparison-note");
  #choices = [];
  #readReview;
  #reviews = new Map(); // each result with { review }, null while it is read
  #images = [];

  // `readReview` returns the promise of an image's review, as `reviewOf` does.
  constructor(readReview) {
    super();
    this.#readReview = readReview;
    this.#select.addEventListener("change", () =>
      this.dispatchEvent(new CustomEvent("other", { detail: this.#choices[this.#select.selectedIndex] })),
    );
    this.#linked.addEventListener("change", () => this.dispatchEvent(new Event("link")));
    element("swap").addEventListener("click", () => this.dispatchEvent(new Event("swap")));
  }

  get isLinked() {
    return this.#linked.checked;
  }

  // Show the images on the left and on the right, and offer others in place of `other`, which is one of
  // them. The table waits for the results of both, and is written anew once their reviews are read.
  show(images, other, choices) {
    this.#root.hidden = false;
    this.#offer(other, choices);
    this.#images = images;
    for (const image of images) this.#read(image);
    this.#fill();
  }

  // Read the review of a result again, which was changed.
  refresh(result) {
    if (!this.#reviews.delete(result)) return;
    const image = this.#images.find((each) => each.result === result);
    if (image) this.#read(image);
  }

  hide() {
    this.#root.hidden = true;
    this.#offer(null, []);
    this.#images = [];
    this.#reviews.clear();
    this.#table.tHead.replaceChildren();
    this.#table.tBodies[0].replaceChildren();
  }

  // A review is read once, until it changes or the comparison ends.
  async #read(image) {
    const { result } = image;
    if (!result || this.#reviews.has(result)) return;
    const reading = { review: null };
    this.#reviews.set(result, reading);
    try {
      reading.review = await this.#readReview(image);
    } catch (error) {
      if (!(error instanceof SessionChanged)) throw error;
      this.dispatchEvent(new CustomEvent("session", { detail: error }));
    }
    if (this.#reviews.get(result) === reading && this.#images.includes(image)) this.#fill();
  }

  #fill() {
    const isComplete = this.#images.every(({ result }) => result);
    this.#table.hidden = !isComplete;
    this.#note.textContent = "";
    if (!isComplete) return;
    const sides = this.#images.map((image) => ({ image, review: this.#reviews.get(image.result)?.review ?? null }));
    this.#table.tHead.replaceChildren(headOf(sides));
    this.#table.tBodies[0].replaceChildren(...rowsOf(sides));
    const notes = [unitNote(sides), modelNote(sides), ...sides.flatMap(reviewNotes)];
    this.#note.textContent = notes.filter((note) => note !== "").join(" ");
  }

  #offer(other, choices) {
    const isSame = choices.length === this.#choices.length && choices.every((image, index) => image === this.#choices[index]);
    if (!isSame) this.#select.replaceChildren(...choices.map(({ name }, index) => new Option(name, index)));
    this.#choices = choices;
    this.#select.selectedIndex = choices.indexOf(other);
    this.#select.closest("label").hidden = choices.length < 2;
  }
}

// Return two images with the older file first; where their times tell nothing, as they are.
export function byAge(images) {
  const [first, second] = images.map(({ modified }) => modified);
  return first - second > MINUTE ? images.toReversed() : images;
}

function unitNote(sides) {
  if (areMeasured(sides)) return "";
  const without = sides.filter(({ image }) => new Scale(image.result.answer).millimetres === null);
  return message(without.length === 1 ? "compare.scale" : "compare.scales", { name: without[0].image.name });
}

function modelNote(sides) {
  const [one, other] = sides.map(({ image }) => image.result.answer.model.bundle_sha256);
  return one === other ? "" : message("compare.models");
}

// Return what a reader has to know of a review beside its numbers.
function reviewNotes({ image: { name, result }, review }) {
  if (review === null) return [];
  const { draft, earlier, isUnread } = review;
  if (isUnread) return [message("compare.unread", { name })];
  if (draft === null) return earlier === null ? [] : [message("compare.other", { name, ...whoAndWhen(earlier.review) })];
  if (!judges(draft)) return [];
  const rest = result.count - draft.judged;
  const unnamed = draft.unnamed.length;
  return [
    earlier === null ? "" : message("compare.earlier", { name, ...whoAndWhen(earlier.review) }),
    draft.isChanged ? message("compare.unsaved", { name }) : "",
    rest > 0 ? message("compare.rest", { name, count: rest, total: result.count }) : "",
    unnamed > 0 ? message("compare.unnamed", { name, count: unnamed }) : "",
    draft.missed === null ? message("compare.missed", { name }) : "",
  ];
}
