import { clock } from "./files.js";
import { element, text } from "./elements.js";
import { message } from "./messages.js";
import { user } from "./session.js";

const KEPT_MS = 30 * 60 * 1000;

// Takes the workplace out of the document while the session of its person is over, so that nobody
// else at the desk sees or reaches an image. What is in it stays in memory, for half an hour.
export class Lock {
  #workplace;
  #panel = element("locked");
  #timer = 0;
  #until = 0; // a timer may stand still while the computer sleeps
  #onClear;
  #focused = null;
  #isEnded = false;
  isLocked = false;

  // `onClear` removes the images; it is called by the person, or after half an hour.
  constructor(workplace, onClear) {
    this.#workplace = workplace;
    this.#onClear = onClear;
    element("locked-clear").addEventListener("click", onClear);
  }

  // `losses` are lines on what is not saved among the `count` images.
  lock(count, losses) {
    if (this.isLocked || this.#isEnded) return;
    this.isLocked = true;
    this.#until = Date.now() + KEPT_MS;
    this.#focused = document.activeElement;
    this.#workplace.querySelectorAll("dialog[open]").forEach((dialog) => dialog.close());
    this.#workplace.remove();
    const until = clock(new Date(this.#until)).slice(11, 16);
    element("locked-words").textContent = message("locked.words", { user, count, until });
    element("locked-losses").replaceChildren(...losses.map((line) => text("p", line)));
    this.#panel.hidden = false;
    element("locked-title").focus();
    this.#timer = setTimeout(this.#onClear, KEPT_MS);
  }

  // Put the workplace back, unless its time is over.
  unlock() {
    if (Date.now() > this.#until) {
      this.#onClear();
      return;
    }
    this.#close();
    this.#panel.before(this.#workplace);
    this.#focused?.focus();
  }

  // Lock nothing from here on.
  end() {
    this.#isEnded = true;
    this.#close();
  }

  #close() {
    this.isLocked = false;
    clearTimeout(this.#timer);
    this.#panel.hidden = true;
  }
}
