import { text } from "../elements.js";
import { legendOf } from "./legend.js";
import { message } from "./messages.js";
import { described, notesOf } from "./notes.js";

// What is said of the picture of a study: beside it, over it where something is hidden, and all of it to
// a person who uses a screen reader.
export class Captions {
  #part;
  #told = [];

  // `part` returns the element of the viewer for a selector.
  constructor(part) {
    this.#part = part;
  }

  // Say what holds as long as the study is shown.
  open(study) {
    this.#told = [];
    for (const [selector, words] of Object.entries(notesOf(study))) this.#write(selector, words);
    this.#part(".viewer-caution").classList.toggle("withheld", study.isWithheld);
    this.#part(".viewer-picture").ariaLabel = message("name", { name: study.name });
    this.#part(".viewer-original canvas").ariaLabel = message("original", { name: study.name });
  }

  // Say what the picture shows of the lesions.
  tell(study, visibility, annotations, isDrawn) {
    const { shown, hidden, total, sentence } = visibility;
    const state = [annotations, isDrawn, sentence];
    if (state.every((each, index) => each === this.#told[index])) return; // while the picture only moves
    this.#told = state;
    const isOff = !isDrawn && total + annotations.missed.length > 0;
    this.#write(".viewer-chip", isOff ? message("off") : hidden > 0 ? sentence : "");
    this.#part(".viewer-picture canvas").ariaLabel = described(study, visibility, annotations, isDrawn);
    const legend = legendOf(annotations.over(shown), annotations.isSaved).map((line) => text("li", line));
    this.#part(".viewer-legend").replaceChildren(...legend);
    this.#part(".viewer-legend").hidden = legend.length === 0;
  }

  #write(selector, words) {
    this.#part(selector).textContent = words;
    this.#part(selector).hidden = words === "";
  }
}
