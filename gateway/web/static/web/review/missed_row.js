import { copyOf } from "../elements.js";
import { message } from "../messages.js";

// One missed lesion of the review. `onRemove` is called when it is to be removed.
export class MissedRow {
  element = copyOf("review-missed").firstElementChild;

  // The lesion is one of `lettered`, with the name and the colours of its class.
  constructor({ letter, name: label, count, colour, contrast }, onRemove) {
    const name = message("review.missed", { label, count });
    const isPlaced = letter !== null;
    const part = (selector) => this.element.querySelector(selector);
    const [badge, show, remove] = [".letter", ".show", ".remove-missed"].map(part);
    badge.hidden = !isPlaced;
    badge.textContent = letter;
    badge.style.setProperty("background", colour);
    badge.style.setProperty("color", contrast);
    part(".name").textContent = name;
    show.disabled = !isPlaced;
    remove.textContent = message("review.remove");
    remove.ariaLabel = message("review.removeNamed", { name: isPlaced ? `${letter}, ${name}` : name });
    remove.addEventListener("click", onRemove);
  }
}
