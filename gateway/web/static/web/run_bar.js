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
  #failed = element("show-failed");
  #file = element("file");
  #key = element("key");
  #progress = element("progress");
  #note = ""; // what a person's last press came to, until the queue changes
  #run = []; // the images that are sent together

  // `actions`: admit(onAdmit) whoever may send, send(images), cancel() for all that are on their way,
  // showFailed(), focus() on the selected image.
  constructor(queue, actions) {
    this.#queue = queue;
    this.#actions = actions;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#start();
    });
    this.#cancel.addEventListener("click", () => this.#stop());
    this.#retry.addEventListener("click", () => this.run(queue.failed));
    this.#failed.addEventListener("click", () => actions.showFailed());
    queue.addEventListener("change", () => {
      this.#note = "";
      this.#update();
    });
    queue.addEventListener("update", () => this.#update());
    this.#update();
  }

  // Send these images, beside those that are already on their way.
  run(images) {
    this.#actions.admit(() => {
      const sendable = images.filter((image) => image.isSendable);
      this.#note = "";
      this.#run = [...new Set([...this.#run, ...sendable])];
      this.#actions.send(sendable);
    });
  }

  forget(image) {
    this.#run = this.#run.filter((other) => other !== image);
    this.#update();
  }

  reset() {
    this.#run = [];
    this.#note = "";
    this.#update();
  }

  #start() {
    if (this.#queue.sendable.length) {
      this.run(this.#queue.sendable);
    } else if (!this.#queue.busy.length) {
      this.#note = message("progress.choose");
      this.#update();
      this.#file.focus();
    }
  }

  #stop() {
    this.#run = [];
    this.#note = message("progress.cancelled");
    this.#actions.cancel();
    this.#submit.focus();
  }

  #update() {
    const { images, sendable, busy, failed } = this.#queue;
    const count = sendable.length;
    const again = failed.filter((image) => image.isSendable).length;
    this.#submit.textContent = message(submitKey(count, again), { count });
    this.#submit.disabled = false;
    this.#submit.hidden = images.length > 0 && count === 0; // nothing is left to send
    this.#cancel.hidden = busy.length === 0;
    this.#retry.hidden = again === 0 || again === count;
    this.#retry.textContent = message("retry.counted", { count: again });
    this.#failed.hidden = failed.length === 0;
    this.#failed.textContent = message("failed.show", { count: failed.length });
    if (this.#key) this.#key.readOnly = busy.length > 0;
    this.#tell();
  }

  // Say how far the images are that are sent together, else how many of all are analysed.
  #tell() {
    const { length: total } = this.#run;
    const done = this.#run.filter((image) => !image.isBusy).length;
    if (done < total) {
      const [{ name }] = this.#run;
      this.#say(message(total === 1 ? "progress.one" : "progress.many", { name, total, done }));
      return;
    }
    this.#say([this.#note, ...summary(this.#queue)].filter(Boolean).join(" "));
    this.#run = [];
    if (total > 0) this.#moveFocus();
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

// Return the key of what the button says that sends `count` images, of which `again` have failed.
function submitKey(count, again) {
  if (count === 0) return "submit";
  return again === count ? "retry.counted" : "submit.counted";
}

// Return sentences on the images of the queue; none before one is analysed, or has failed.
function summary({ images, answered, failed }) {
  if (!answered.length && !failed.length) return [];
  const count = answered.filter(({ result }) => result.isUngradable).length;
  const check = count === 0 ? [] : [message("progress.check", { count })];
  if (images.length === 1) {
    const [{ name, result }] = images;
    return result ? [message("progress.result", { name, headline: result.headline }), ...check] : [];
  }
  const failures = failed.length ? [message("progress.failed", { count: failed.length })] : [];
  const ended = message("progress.ended", { answered: answered.length, total: images.length });
  return [ended, ...failures, ...check];
}
