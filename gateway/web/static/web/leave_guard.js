import { element, text } from "./elements.js";
import { message } from "./messages.js";

// Asks before something is lost that is only on this page: what is said there, and by the browser
// where the page itself is left.
export class LeaveGuard {
  #dialog = element("leave-dialog");
  #losses;
  #onAgree = null;

  // `losses` returns what leaving the page loses, as lines of text.
  constructor(losses) {
    this.#losses = losses;
    this.#dialog.addEventListener("close", () => this.#close());
    window.addEventListener("beforeunload", (event) => {
      if (this.#losses().length) event.preventDefault();
    });
  }

  get losses() {
    return this.#losses();
  }

  // Call `onAgree`, at once where `lines`, what is lost, is empty. `question` begins the keys of the
  // title and of both answers.
  ask(question, lines, onAgree, values = {}) {
    if (!lines.length) {
      onAgree();
      return;
    }
    this.#onAgree = onAgree;
    for (const part of ["title", "agree", "keep"]) {
      element(`leave-${part}`).textContent = message(`${question}.${part}`, values);
    }
    element("leave-words").replaceChildren(...lines.map((line) => text("p", line)));
    this.#dialog.returnValue = "";
    this.#dialog.showModal();
  }

  // Leave the page by `go`, which the browser then does not ask about, once the person agrees.
  askToLeave(question, go) {
    this.ask(question, this.losses, () => {
      this.#losses = () => [];
      go();
    });
  }

  #close() {
    const onAgree = this.#onAgree;
    this.#onAgree = null;
    if (this.#dialog.returnValue) onAgree?.();
  }
}
