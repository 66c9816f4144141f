import { copyOf } from "../elements.js";
import { message } from "../messages.js";

// One missed lesion of the review. `actions` holds what to call: relabel(label) and remove().
export class MissedRow {
  element = copyOf("review-missed").firstElementChild;

  // The lesion is one of `lettered`, with the name and the colours of its class; `classes` are those of the model.
  constructor({ letter, label, name: className, count, colour, contrast }, classes, actions) {
    const name = message("review.missed", { label: className, count });
    const isPlaced = letter !== null;
    const [badge, show, select, remove] = [".letter", ".show", "select", ".remove-missed"].map((part) => this.#part(part));
    badge.textContent = letter;
    badge.style.setProperty("background", colour);
    badge.style.setProperty("color", contrast);
    show.hidden = !isPlaced;
    this.#part(".missed-name").textContent = name;
    this.#part(".count").textContent = count === 1 ? "" : `(${count})`;
    const named = isPlaced ? `${letter}, ${name}` : name;
    const isKnown = classes.some((each) => each.label === label);
    const offered = isKnown ? classes : [{ label, name: className }, ...classes];
    select.append(...offered.map((each) => new Option(each.name, each.label)));
    select.value = label;
    select.ariaLabel = message("review.missedClass", { name: named });
    select.addEventListener("change", () => actions.relabel(select.value));
    remove.textContent = message("review.remove");
    remove.ariaLabel = message("review.removeNamed", { name: named });
    remove.addEventListener("click", () => actions.remove());
  }

  // Put the focus on its class.
  focus() {
    this.#part("select").focus();
  }

  #part(selector) {
    return this.element.querySelector(selector);
  }
}
