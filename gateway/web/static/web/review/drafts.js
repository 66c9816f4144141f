import { Draft } from "./draft.js";
import { readFeedback } from "./feedback.js";

// The drafts of the results of this page, each read from the service when it is first asked for. A
// draft goes with its result.
export class Drafts {
  #drafts = new WeakMap(); // each result with the promise of its draft

  // Return the promise of a result's draft, or undefined where nobody has asked for it.
  known(result) {
    return this.#drafts.get(result);
  }

  // Return the draft of a result, whose study is given. Raises what `readFeedback` raises, and reads again the next time.
  async of(result, study) {
    const known = this.#drafts.get(result);
    if (known) return known;
    const draft = readFeedback(result.requestId).then((view) => new Draft(view, study));
    this.#drafts.set(result, draft);
    draft.catch(() => this.#drafts.delete(result));
    return draft;
  }

  // Keep what the service has now, in place of the draft.
  replace(result, view, study) {
    this.#drafts.set(result, Promise.resolve(new Draft(view, study)));
  }

  // Read from the service the next time, whatever the draft holds.
  forget(result) {
    this.#drafts.delete(result);
  }
}
