import { text } from "../elements.js";
import { wordsOf } from "./lines.js";
import { message } from "./messages.js";

// The list of the lines that were measured in an image. `onRemove` is called with the line that a person
// takes away.
export class LineList {
  #element;
  #picture;
  #onRemove;

  // `picture` gets the focus when the list that had it is empty.
  constructor(element, picture, onRemove) {
    this.#element = element;
    this.#picture = picture;
    this.#onRemove = onRemove;
  }

  // Show these lines with their lengths at this scale. The focus stays in the list where it was there.
  show(lines, scale) {
    const before = this.#buttons.indexOf(document.activeElement);
    this.#element.replaceChildren(...lines.map((line) => this.#row(line, scale)));
    this.#element.hidden = lines.length === 0;
    if (before >= 0) (this.#buttons[Math.min(before, lines.length - 1)] ?? this.#picture).focus();
  }

  get #buttons() {
    return [...this.#element.querySelectorAll("button")];
  }

  #row(line, scale) {
    const row = document.createElement("li");
    const remove = text("button", "×", "viewer-button");
    Object.assign(remove, { type: "button", ariaLabel: message("line.remove", { number: line.number }) });
    remove.addEventListener("click", () => this.#onRemove(line));
    row.append(text("span", wordsOf(line, scale)), remove);
    return row;
  }
}
