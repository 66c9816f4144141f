import { classNameOf } from "../class_names.js";
import { copyOf, text } from "../elements.js";
import { clock } from "../files.js";
import { message } from "../messages.js";
import { Refusal } from "../problem.js";
import { SessionChanged } from "../session.js";
import { readFeedback, readImageReviews } from "./feedback.js";
import { segmentationOfModel } from "./model_outline.js";
import { differenceOf } from "./same_answer.js";
import { authorOf, commentWords, missedWords, ungradableWords, verdictWords } from "./said.js";

const FORBIDDEN = 403;

// The first page of the earlier reviews of each result's image, as a promise.
const firstPages = new WeakMap();

// The reviews that people of the same organisation made of earlier answers on the same image. They are
// only shown: each belongs to its own answer. Dispatches "found" with { by, time } of the latest one,
// "take" with the content that a person takes over, and "session" with a SessionChanged.
export class EarlierReviews extends EventTarget {
  #root;
  #result = null;
  #study = null;
  #next = null;

  constructor(root) {
    super();
    this.#root = root;
    this.#part(".earlier-more").addEventListener("click", () => this.#more());
  }

  // Show those of the image of a result, whose study is given; null shows none.
  async show(result, study) {
    this.#result = result;
    this.#study = study;
    this.#root.hidden = true;
    this.#part(".earlier-reviews").replaceChildren();
    this.#part(".earlier-problem").hidden = true;
    const digest = result?.answer.image.sha256 ?? "";
    if (digest === "") return;
    const page = firstPages.get(result) ?? readImageReviews(digest, null);
    firstPages.set(result, page);
    page.catch(() => firstPages.delete(result));
    await this.#attempt(this.#part(".earlier-problem"), async () => {
      const { reviews, next } = await page;
      if (result !== this.#result) return;
      this.#add(reviews, next);
      const [latest] = reviews.filter((review) => this.#isEarlier(review));
      if (latest) this.dispatchEvent(new CustomEvent("found", { detail: whoAndWhen(latest) }));
    });
  }

  async #more() {
    const [result, before] = [this.#result, this.#next];
    this.#part(".earlier-more").disabled = true;
    await this.#attempt(this.#part(".earlier-problem"), async () => {
      const { reviews, next } = await readImageReviews(result.answer.image.sha256, before);
      if (result === this.#result) this.#add(reviews, next);
    });
    this.#part(".earlier-more").disabled = false;
  }

  #add(reviews, next) {
    const rows = reviews.filter((review) => this.#isEarlier(review)).map((review) => this.#row(review));
    this.#part(".earlier-reviews").append(...rows);
    this.#next = next;
    this.#part(".earlier-more").hidden = next === null;
    this.#root.hidden = this.#part(".earlier-reviews").childElementCount === 0 && next === null;
  }

  // What is said about the result itself stands in its review.
  #isEarlier(review) {
    return review.request_id !== this.#result.requestId;
  }

  #row(review) {
    const row = copyOf("earlier-review").firstElementChild;
    const [show, said] = [row.querySelector(".earlier-show"), row.querySelector(".earlier-said")];
    const model = `${review.model_name} ${review.model_version}`;
    const name = message("earlier.review", { ...whoAndWhen(review), model });
    row.querySelector(".earlier-who").textContent = name;
    const open = (isOpen) => {
      said.hidden = !isOpen;
      show.ariaExpanded = String(isOpen);
      show.textContent = message(isOpen ? "earlier.hide" : "earlier.show");
      show.ariaLabel = message("named", { what: show.textContent, name });
    };
    open(false);
    show.addEventListener("click", async () => {
      if (said.childElementCount === 0) await this.#read(review, said);
      open(said.hidden && said.childElementCount > 0);
    });
    return row;
  }

  async #read(review, said) {
    const [result, study] = [this.#result, this.#study];
    await this.#attempt(this.#part(".earlier-problem"), async () => {
      const content = contentOf(await readFeedback(review.request_id), review);
      if (result !== this.#result) return;
      const difference = differenceOf(review, content, study);
      const isSame = difference === null;
      const list = listOf(content, review, study.answer.model, isSame ? study : null);
      said.replaceChildren(list, text("p", message(`earlier.${difference ?? "same"}`), "hint"));
      said.append(isSame ? this.#takeButton(review, content) : text("p", message("earlier.outlines"), "hint"));
    });
  }

  // What somebody else wrote stays theirs.
  #takeButton(review, content) {
    const button = text("button", message("earlier.take"), "quiet small");
    button.type = "button";
    const taken = review.mine ? content : { ...content, comment: null };
    button.addEventListener("click", () => this.dispatchEvent(new CustomEvent("take", { detail: taken })));
    return button;
  }

  // Do what may be refused, and say so. Who may not read feedback is not told that there may be some.
  async #attempt(place, action) {
    const result = this.#result;
    place.hidden = true;
    try {
      await action();
    } catch (error) {
      if (error instanceof SessionChanged) {
        this.dispatchEvent(new CustomEvent("session", { detail: error }));
      } else if (result === this.#result && !(error instanceof Refusal && error.status === FORBIDDEN)) {
        place.textContent = message("earlier.failed");
        place.hidden = false;
        this.#root.hidden = false;
      }
    }
  }

  #part(selector) {
    return this.#root.querySelector(selector);
  }
}

// Return who made a review, and when, to the minute.
export function whoAndWhen({ by, at }) {
  return { by: authorOf(by), time: clock(new Date(at)).slice(0, 16) };
}

// Return what the author of a review says, in the shape of the service's body.
export function contentOf(view, { by, mine }) {
  if (mine && view.mine !== null) return view.mine;
  const of = (given) => given.filter((each) => each.by === by);
  const missed = of(view.missed).map(({ label, count, box, outline }) => ({ label, count, box, outline }));
  return {
    lesions: of(view.lesions),
    missed: missed.length === 0 ? null : missed, // whether none was missed is told to the author alone
    ungradable: of(view.ungradable)[0] ?? null,
    comment: of(view.comments)[0]?.comment ?? null,
  };
}

// Return what is said of an answer, as a list. A corrected outline is one that is not the model's own, which
// is known where the lesions are those of `study`; null where they are others.
export function listOf({ lesions, missed, ungradable, comment }, { class_counts: counts }, model, study) {
  const verdicts = lesions.map(({ id, label, verdict, new_label: newLabel, outline }) => {
    const corrected = study !== null && isCorrected(outline, id, study) ? outline : null;
    const words = verdictWords({ verdict, newLabel, outline: corrected }, model);
    return message("earlier.lesion", { number: id + 1, label: classNameOf(model, label), verdict: words });
  });
  const others = [
    unjudgedWords(lesions, counts),
    missed === null ? "" : missedWords(missed, model),
    commentWords(comment ?? ""),
    ungradableWords(ungradable?.reason ?? ""),
  ];
  const list = document.createElement("ul");
  list.append(...[...verdicts, ...others].filter((line) => line !== "").map((line) => text("li", line)));
  return list;
}

function isCorrected(outline, id, study) {
  const own = segmentationOfModel(study.lesions.find((lesion) => lesion.id === id));
  return (outline ?? null) !== null && JSON.stringify(outline) !== JSON.stringify(own);
}

// Return which of an answer's lesions have no verdict; "" where all have one.
function unjudgedWords(lesions, counts) {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const judged = new Set(lesions.map(({ id }) => id));
  const numbers = Array.from({ length: total }, (_, id) => id).filter((id) => !judged.has(id)).map((id) => id + 1);
  return numbers.length === 0 ? "" : message("earlier.unjudged", { count: numbers.length, numbers: numbers.join(", ") });
}
