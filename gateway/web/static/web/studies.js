import { Study } from "./viewer/study.js";

const KEPT = 3;

// The studies of the results that were shown last; a study holds the whole picture in memory, so
// there are few of them.
export class Studies {
  #kept = new Map(); // each result with the promise of its study, oldest first

  // Return the study of an image that has a result. Raises where the browser cannot show it.
  of({ result, blob, name }) {
    const study = this.#kept.get(result) ?? Study.of(result.answer, blob, { name, time: result.time });
    this.#kept.delete(result);
    this.#kept.set(result, study);
    return study;
  }

  // Release all studies except those of the results that are shown.
  trim(shown) {
    const results = [...this.#kept.keys()].filter((result) => !shown.includes(result));
    const most = Math.max(0, KEPT - shown.length);
    results.slice(0, Math.max(0, results.length - most)).forEach((result) => this.#drop(result));
  }

  // Release the studies of all other results.
  retain(results) {
    [...this.#kept.keys()].filter((result) => !results.includes(result)).forEach((result) => this.#drop(result));
  }

  #drop(result) {
    const study = this.#kept.get(result);
    this.#kept.delete(result);
    study.then((made) => made.release(), () => {});
  }
}
