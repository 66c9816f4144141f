import { SessionChanged } from "../session.js";
import { Draft } from "./draft.js";
import { readFeedback, sendFeedback } from "./feedback.js";

// The drafts of the results of this page, each read from the service when it is first asked for. A
// draft goes with its result. What the service is asked as the session ends waits for `resume`;
// "session" tells of that with a SessionChanged. "change" tells with a result that its draft was changed,
// saved or forgotten.
export class Drafts extends EventTarget {
  #drafts = new WeakMap(); // each result with the promise of its draft
  #read = new WeakMap(); // each result with its draft, once that is read
  #saves = new Set(); // the promises of the drafts that are being saved
  #waiting = []; // what goes on with the session

  // Return the promise of a result's draft, or undefined where nobody has asked for it.
  known(result) {
    return this.#drafts.get(result);
  }

  // Return the draft of a result, whose study is given. Raises what `readFeedback` raises, and reads again the next time.
  async of(result, study) {
    const known = this.#drafts.get(result);
    if (known) return known;
    const draft = this.#ask(() => readFeedback(result.requestId)).then((view) => this.#keep(result, view, study));
    this.#drafts.set(result, draft);
    draft.catch(() => this.#drafts.delete(result));
    return draft;
  }

  // Save the draft of a result, and return what the service has then. Raises what `sendFeedback` raises.
  save(result, draft, study) {
    const body = draft.body(study); // a second version of it would be refused
    const save = this.#ask(() => sendFeedback(result.requestId, body)).then((view) => {
      this.replace(result, view, study);
      return view;
    });
    this.#saves.add(save);
    return save.finally(() => this.#saves.delete(save));
  }

  // Keep what the service has now, in place of the draft.
  replace(result, view, study) {
    this.#drafts.set(result, Promise.resolve(this.#keep(result, view, study)));
    this.#tell(result);
  }

  // Read from the service the next time, whatever the draft holds.
  forget(result) {
    this.#drafts.delete(result);
    this.#read.delete(result);
    this.#tell(result);
  }

  // Return whether something was said about the result, or is drawn, that is not saved.
  isUnsaved(result) {
    const draft = this.#read.get(result);
    return draft !== undefined && (draft.isChanged || draft.isDrawing);
  }

  // Ask the service again what met the end of the session. Returns the promises of the drafts that
  // are saved then.
  resume() {
    this.#waiting.splice(0).forEach((goOn) => goOn());
    return [...this.#saves];
  }

  #keep(result, view, study) {
    const draft = new Draft(view, study);
    this.#read.set(result, draft);
    draft.addEventListener("change", () => this.#tell(result));
    return draft;
  }

  #tell(result) {
    this.dispatchEvent(new CustomEvent("change", { detail: result }));
  }

  async #ask(request) {
    try {
      return await request();
    } catch (error) {
      if (!(error instanceof SessionChanged && error.isExpiry)) throw error;
      this.dispatchEvent(new CustomEvent("session", { detail: error }));
      await new Promise((goOn) => this.#waiting.push(goOn));
      return this.#ask(request);
    }
  }
}
