import { element } from "./elements.js";
import { message } from "./messages.js";

// The buttons that send images, and the line that tells how far they are.
export class RunBar {
  #queue;
  #actions;
  #form = element("form");
  #submit = element("submit");
  #cancel = element("cancel");
  #retry = element("retry");
  #file = element("file");
  #key = element("key");
  #progress = element("progress");
  #run = []; // the images that are sent together

  // `actions`: send(images), cancel() for all that are on their way, focus() on the selected image.
  constructor(queue, actions) {
    this.#queue = queue;
    this.#actions = actions;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#start();
    });
    this.#cancel.addEventListener("click", () => this.#stop());
    this.#retry.addEventListener("click", () => this.run(queue.failed));
    queue.addEventListener("change", () => this.#update());
    queue.addEventListener("update", () => this.#update());
    this.#update();
  }

  // Send these images, beside those that are already on their way.
  run(images) {
    const sendable = images.filter((image) => image.isSendable);
    this.#run = [...new Set([...this.#run, ...sendable])];
    this.#actions.send(sendable);
  }

  forget(image) {
    this.#run = this.#run.filter((other) => other !== image);
    this.#update();
  }

  reset() {
    this.#run = [];
    this.#progress.textContent = "";
    this.#update();
  }

  #start() {
    if (this.#queue.sendable.length) {
      this.run(this.#queue.sendable);
    } else if (!this.#queue.busy.length) {
      this.#progress.textContent = message("progress.choose");
      this.#file.focus();
    }
  }

  #stop() {
    this.#run = [];
    this.#actions.cancel();
    this.#progress.textContent = message("progress.cancelled");
    this.#submit.focus();
  }

  #update() {
    const { images, sendable, busy, failed } = this.#queue;
    const count = sendable.length;
    this.#submit.textContent = message(count ? "submit.counted" : "submit", { count });
    this.#submit.disabled = false;
    this.#submit.hidden = images.length > 0 && count === 0; // nothing is left to send
    this.#cancel.hidden = busy.length === 0;
    this.#retry.hidden = failed.length === 0 || failed.length === count;
    this.#retry.textContent = message("retry.counted", { count: failed.length });
    if (this.#key) this.#key.readOnly = busy.length > 0;
    if (this.#run.length) this.#tell();
  }

  #tell() {
    const ended = this.#run.filter((image) => !image.isBusy);
    const total = this.#run.length;
    if (ended.length < total) {
      const [{ name }] = this.#run;
      this.#say(message(total === 1 ? "progress.one" : "progress.many", { name, total, done: ended.length }));
      return;
    }
    this.#say(summary(this.#run));
    this.#run = [];
    this.#moveFocus();
  }

  // A line that stays the same is not announced anew.
  #say(line) {
    if (this.#progress.textContent !== line) this.#progress.textContent = line;
  }

  // Move the focus from the buttons to the selected image, for whoever does not see the results.
  #moveFocus() {
    const { activeElement } = document;
    const isButton = [document.body, this.#submit, this.#cancel, this.#retry].includes(activeElement);
    if (isButton || activeElement.matches(".example")) this.#actions.focus();
  }
}

function summary(images) {
  const answered = images.filter(({ result }) => result);
  const count = answered.filter(({ result }) => result.isUngradable).length;
  const check = count === 0 ? "" : ` ${message("progress.check", { count })}`;
  if (images.length > 1) {
    return message("progress.ended", { answered: answered.length, total: images.length }) + check;
  }
  const [{ name, result }] = images;
  return result ? message("progress.result", { name, headline: result.headline }) + check : "";
}
