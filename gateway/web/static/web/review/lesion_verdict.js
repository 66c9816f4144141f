import { copyOf } from "../elements.js";
import { message } from "../messages.js";
import { isUnnamed } from "./draft.js";

let rows = 0; // of this page so far: names of radio buttons are unique in it

// The verdict on a lesion, in its row: whether it is one, and of which class. `actions` holds what to
// call: judge(verdict, newLabel), edit() and undo() of the correction. Another class has to be named, but
// where there is only one.
export class LesionVerdict {
  element = copyOf("review-lesion").firstElementChild;
  #actions;
  #onlyOther;

  constructor(lesion, classes, actions) {
    this.#actions = actions;
    const name = message("review.lesion", { number: lesion.number, label: lesion.name });
    this.#part("legend").textContent = name;
    for (const button of [this.#part(".edit"), this.#part(".uncorrect")]) {
      button.ariaLabel = message("named", { what: button.textContent, name });
    }
    const others = classes.filter(({ label }) => label !== lesion.label);
    this.#part("select").append(...others.map(({ name: shown, label }) => new Option(shown, label)));
    this.#part("select").ariaLabel = message("review.class", { name });
    this.#part(".relabel").hidden = others.length === 0;
    this.#onlyOther = others.length === 1 ? others[0].label : null;
    rows += 1;
    for (const choice of this.#choices) choice.name = `verdict-${rows}`;
    this.#listen();
  }

  // Show a verdict of the draft, or null.
  show(verdict) {
    for (const choice of this.#choices) choice.checked = choice.value === verdict?.verdict;
    const select = this.#part("select");
    select.hidden = verdict?.verdict !== "relabel";
    select.value = verdict?.newLabel ?? "";
    if (verdict === null || !isUnnamed(verdict)) select.ariaInvalid = null;
    const isCorrected = (verdict?.outline ?? null) !== null;
    this.#part(".corrected").hidden = !isCorrected;
    this.#part(".uncorrect").hidden = !isCorrected;
  }

  // Put the focus on the other class, which is not named.
  askClass() {
    this.#part("select").ariaInvalid = "true";
    this.#part("select").focus();
  }

  get #choices() {
    return this.element.querySelectorAll('input[type="radio"]');
  }

  #listen() {
    const select = this.#part("select");
    for (const choice of this.#choices) {
      const label = choice.value === "relabel" ? this.#onlyOther : null;
      choice.addEventListener("change", () => this.#actions.judge(choice.value, label));
    }
    select.addEventListener("change", () => this.#actions.judge("relabel", select.value));
    this.#part(".edit").addEventListener("click", () => this.#actions.edit());
    this.#part(".uncorrect").addEventListener("click", () => {
      this.#actions.undo();
      this.#part(".edit").focus();
    });
  }

  #part(selector) {
    return this.element.querySelector(selector);
  }
}
