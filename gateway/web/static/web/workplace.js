import { element } from "./elements.js";
import { offerExamples } from "./examples.js";
import { Filmstrip } from "./filmstrip.js";
import { Intake } from "./intake.js";
import { LeaveGuard } from "./leave_guard.js";
import { message } from "./messages.js";
import { Queue } from "./queue.js";
import { Report } from "./report.js";
import { Drafts } from "./review/drafts.js";
import { RunBar } from "./run_bar.js";
import { Sender } from "./sender.js";
import { tellSaves } from "./save_notice.js";
import { showDemo } from "./service.js";
import { authorise } from "./session.js";
import { SignIn } from "./sign_in.js";
import { Stage } from "./stage.js";

// The page of a clinician: the queue of images, the selected one, and what can be done with them.
export class Workplace {
  #root = element("workplace");
  #key = element("key");
  #queue = new Queue();
  #sender;
  #bar;
  #filmstrip = new Filmstrip(this.#queue);
  #drafts = new Drafts();
  #stage = new Stage(this.#queue, this.#drafts);
  #report = new Report(this.#queue, () => this.#stage.selected, this.#drafts);
  #intake;
  #onSessionChange;
  guard = new LeaveGuard(() => this.#losses());
  signIn = new SignIn({
    count: () => this.count,
    hasResults: () => this.hasResults,
    onLeave: (go) => this.#askToClear("visitor", go),
  });

  // `onSessionChange` gets a SessionChanged that a request met.
  constructor(onSessionChange) {
    this.#onSessionChange = onSessionChange;
    this.#sender = new Sender(() => this.#headers(), onSessionChange);
    this.#bar = new RunBar(this.#queue, {
      send: (images) => {
        this.#sender.send(images);
        this.#stage.reveal();
      },
      admit: (onAdmit) => this.signIn.admit(onAdmit),
      cancel: () => this.#sender.cancel(this.#queue.busy),
      showFailed: () => this.#filmstrip.selectNext(this.#queue.failed),
      focus: () => this.#stage.focus(),
    });
    this.#intake = new Intake(this.#queue, ([first]) => first && this.#filmstrip.select(first));
    this.#listen();
    offerExamples(async (file) => {
      const added = await this.#intake.take([file]);
      if (added.length) this.#bar.run(added);
    });
  }

  get count() {
    return this.#queue.images.length;
  }

  // Whether images are analysed, or are sent: these are of whoever is signed in or holds the key.
  get hasResults() {
    const { answered, busy } = this.#queue;
    return answered.length > 0 || busy.some((image) => image.state !== "queued");
  }

  // Begin a new examination, once the person agrees to what is lost.
  begin() {
    this.#askToClear("clear", () => {});
  }

  // Forget all images and what was typed; the images that follow are of another examination.
  clear() {
    this.#sender.cancel(this.#queue.busy);
    this.#queue.clear();
    this.#stage.clear();
    this.#report.clear();
    this.#intake.showRefused([]);
    this.#bar.reset();
  }

  leave() {
    this.clear();
    if (this.#key) this.#key.value = "";
  }

  // Send and print nothing until `resume`.
  pause() {
    this.#report.forget();
    this.#sender.pause();
  }

  // Go on, with the reviews that were being saved as well, and tell what became of them.
  resume() {
    this.#sender.resume();
    tellSaves(this.#drafts.resume(), () => unsavedReviews(this.#unsaved));
  }

  // The images whose review has changes that are not saved.
  get #unsaved() {
    return this.#queue.answered.filter(({ result }) => this.#drafts.isUnsaved(result));
  }

  #losses() {
    const { length: count } = this.#queue.unanalysed;
    return [...unsavedReviews(this.#unsaved), ...(count ? [message("losses.images", { count })] : [])];
  }

  async #headers() {
    return { ...(await authorise()), "X-Examination-Id": this.#queue.examinationId };
  }

  #listen() {
    this.#queue.addEventListener("change", () => this.#update());
    this.#queue.addEventListener("update", () => this.#update());
    this.#filmstrip.addEventListener("select", ({ detail }) => this.#stage.show(detail));
    this.#filmstrip.addEventListener("discard", ({ detail }) => this.#discard(detail));
    this.#stage.addEventListener("send", ({ detail }) => this.#bar.run([detail]));
    this.#drafts.addEventListener("session", ({ detail }) => this.#onSessionChange(detail));
    this.#report.addEventListener("session", ({ detail }) => this.#onSessionChange(detail));
    this.#stage.addEventListener("session", ({ detail }) => this.#onSessionChange(detail));
    this.#stage.addEventListener("stop", ({ detail }) => this.#sender.cancel([detail]));
    element("compare").addEventListener("click", () => this.#compare(!this.#stage.isComparing));
    element("print").addEventListener("click", () => this.#report.open());
    element("new-examination").addEventListener("click", () => this.begin());
    this.#key?.addEventListener("input", () => {
      if (this.#queue.answered.length) this.clear(); // another person may be at the desk
    });
    document.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key === "p" && this.#queue.answered.length && this.#root.isConnected) {
        event.preventDefault();
        this.#report.open();
      }
    });
  }

  #update() {
    const { images, answered } = this.#queue;
    this.#root.classList.toggle("is-empty", images.length === 0);
    this.#root.querySelector("#new-examination").hidden = images.length === 0;
    this.#root.querySelector("#print").hidden = answered.length === 0;
    const isComparable = answered.filter((image) => image.isShowable).length > 1;
    this.#root.querySelector("#compare").hidden = !isComparable;
    if (!isComparable && this.#stage.isComparing) this.#compare(false);
    if (answered.some(({ result }) => result.isOfDemo)) showDemo();
  }

  #compare(isComparing) {
    this.#stage.compare(isComparing);
    const button = this.#root.querySelector("#compare");
    button.textContent = message(isComparing ? "compare.end" : "compare.start");
    button.classList.toggle("quiet", !isComparing);
  }

  #discard(image) {
    const lines = unsavedReviews(this.#unsaved.filter((other) => other === image));
    const remove = () => {
      this.#sender.cancel([image]);
      this.#queue.remove(image);
      this.#bar.forget(image);
    };
    this.guard.ask("discard", lines, remove, { name: image.name });
  }

  // Ask before the page is loaded again by `go`, and holds its images no longer.
  askToReload(question, go) {
    this.#forgetOnceAgreed(question, this.count > 0, go);
  }

  // Ask where results would be lost, and forget them.
  #askToClear(question, then) {
    this.#forgetOnceAgreed(question, this.hasResults, then);
  }

  #forgetOnceAgreed(question, isLoss, then) {
    const words = message("clear.words", { count: this.count });
    const lines = isLoss ? [words, ...unsavedReviews(this.#unsaved)] : [];
    this.guard.ask(question, lines, () => {
      this.clear();
      then();
    });
  }
}

// Return a line on the reviews of these images, which are lost with the page; none where there are none.
function unsavedReviews({ length: count }) {
  return count ? [message("losses.reviews", { count })] : [];
}
