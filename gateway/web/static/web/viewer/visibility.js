import { percent } from "../percent.js";
import { message } from "./messages.js";

// Which lesions of a study are shown: those with at least a score, of the classes that are on. A new
// one shows them all.
export class Visibility {
  #study;
  #classesOff = new Set();

  constructor(study) {
    this.#study = study;
    this.threshold = study.lowestScore;
  }

  // Hide the lesions below this score; never below that of the answer.
  setThreshold(score) {
    this.threshold = Math.max(score, this.#study.lowestScore);
  }

  switchClass(label, isOn) {
    if (isOn) this.#classesOff.delete(label);
    else this.#classesOff.add(label);
  }

  shows(lesion) {
    return !this.#isBelow(lesion) && !this.#classesOff.has(lesion.label);
  }

  get shown() {
    return this.#study.lesions.filter((lesion) => this.shows(lesion));
  }

  get total() {
    return this.#study.lesions.length;
  }

  get hidden() {
    return this.total - this.shown.length;
  }

  // Return how many lesions are hidden and why.
  get sentence() {
    const { lesions } = this.#study;
    const isByScore = lesions.some((lesion) => this.#isBelow(lesion));
    const off = [...this.#classesOff].filter((label) => lesions.some((lesion) => lesion.label === label));
    const kind = isByScore && off.length ? "both" : isByScore ? "score" : "class";
    const classes = off.map((label) => this.#study.nameOf(label)).join(", ");
    const reason = message(`hidden.${kind}`, { threshold: percent(this.threshold), classes });
    return message("hidden", { count: this.hidden, total: this.total, reason });
  }

  // At the lowest place of the slider nothing is hidden: scores are float32, thresholds float64.
  #isBelow(lesion) {
    return this.threshold > this.#study.lowestScore && lesion.score < this.threshold;
  }
}
