import { copyOf, text } from "../elements.js";
import { clock } from "../files.js";
import { message } from "../messages.js";
import { explain } from "../problem.js";
import { SessionChanged } from "../session.js";
import { OutlineEditor } from "../viewer/outline_editor.js";
import { EarlierReviews } from "./earlier.js";
import { LesionVerdict } from "./lesion_verdict.js";
import { selectFrom } from "./linked_row.js";
import { MissedList } from "./missed_list.js";
import { reviewedWords } from "./reviewed.js";

// The review of the study in a viewer, in the viewer's own column: verdicts in the rows of its lesions, and
// below them those that the model missed, whether the image can be judged, a comment. It is read from the
// service once it is opened, and the viewer shows it from then on. Dispatches "reviewed" with what it says
// otherwise than the model, in words, and "session" with a SessionChanged that a request met.
export class ReviewPanel extends EventTarget {
  #drafts;
  #viewer;
  #editor;
  #lead = copyOf("review-lead").firstElementChild;
  #body = copyOf("review").firstElementChild;
  #foot = copyOf("review-foot").firstElementChild;
  #missed;
  #earlier = new EarlierReviews(this.#part(".earlier"));
  #isOpen = false;
  #result = null;
  #study = null;
  #draft = null;
  #verdicts = new Map();
  #onChange = () => this.#update();

  constructor(viewer, drafts) {
    super();
    this.#viewer = viewer;
    this.#drafts = drafts;
    viewer.place("lead").append(this.#lead);
    viewer.place("more").append(this.#body);
    viewer.place("foot").append(this.#foot);
    viewer.addEventListener("shown", () => this.#draft && this.#offerRest());
    this.#missed = new MissedList(this.#part(".missed-lesions"), viewer, { draw: (label) => this.#draw(label) });
    this.#editor = new OutlineEditor(viewer);
    this.#editor.addEventListener("open", () => (this.#draft.isDrawing = true));
    this.#editor.addEventListener("end", () => (this.#draft.isDrawing = false));
    this.#editor.addEventListener("outline", ({ detail }) => this.#takeOutline(detail));
    this.#earlier.addEventListener("found", ({ detail }) => this.#tellEarlier(message("earlier.latest", detail)));
    this.#earlier.addEventListener("take", ({ detail }) => this.#takeOver(detail));
    this.#earlier.addEventListener("session", ({ detail }) => this.#tell("session", detail));
    this.#part(".review-toggle").addEventListener("click", () => this.#toggle());
    this.#part(".save").addEventListener("click", () => this.#save());
    this.#part(".accept-rest").addEventListener("click", () => this.#acceptRest());
    this.#part(".again").addEventListener("click", () => this.#readAgain());
    this.#part(".ungradable-reason").addEventListener("change", ({ target }) => this.#draft.say("ungradable", target.value));
    this.#part(".comment").addEventListener("input", ({ target }) => this.#draft.say("comment", target.value));
  }

  // Offer the review of a result whose study the viewer shows; null offers none. An outline that is open
  // stays with the draft, and is open again when this is shown again.
  show(result, study) {
    const outline = this.#editor.suspend();
    if (outline !== null) this.#draft.openOutline = outline;
    this.#result = result;
    this.#study = study;
    this.#clear();
    this.#tellEarlier("");
    this.#earlier.show(result, study);
    if (result !== null && (this.#isOpen || this.#drafts.known(result))) this.#read();
  }

  #clear() {
    this.#use(null);
    this.#verdicts.clear();
    this.#missed.clear();
    if (this.#study !== null) this.#viewer.annotate();
    this.#part(".history").replaceChildren();
    this.#part(".comment").value = "";
    this.#part(".saved").textContent = "";
    this.#showProblem(null);
    this.#reveal();
  }

  #toggle() {
    this.#isOpen = !this.#isOpen;
    this.#part(".review-toggle").ariaExpanded = String(this.#isOpen);
    this.#reveal();
    if (this.#isOpen) this.#read();
  }

  // Show the controls where the review is open and read, and the foot with what went wrong in any case.
  #reveal() {
    const isShown = this.#isOpen && this.#draft !== null;
    this.#body.hidden = !isShown;
    this.#foot.hidden = !this.#isOpen || this.#result === null;
    this.#part(".save-bar").hidden = !isShown;
    for (const { element } of this.#verdicts.values()) element.hidden = !isShown;
  }

  async #read() {
    const result = this.#result;
    if (result === null || this.#draft !== null) return;
    await this.#attempt(async () => {
      const draft = await this.#drafts.of(result, this.#study);
      if (result === this.#result) this.#fill(draft);
    });
  }

  #use(draft) {
    this.#draft?.removeEventListener("change", this.#onChange);
    this.#draft = draft;
    draft?.addEventListener("change", this.#onChange);
  }

  #fill(draft) {
    this.#use(draft);
    this.#verdicts = new Map(this.#study.lesions.map((lesion) => [lesion.id, this.#verdictOn(lesion)]));
    this.#missed.open(draft, this.#study);
    this.#showHistory(draft.view.versions);
    this.#reveal();
    this.#update();
    const outline = draft.openOutline;
    draft.openOutline = null;
    if (outline !== null) this.#editor.resume(outline);
  }

  #verdictOn(lesion) {
    const verdict = new LesionVerdict(lesion, this.#study.classes, {
      judge: (kind, newLabel) => this.#draft.judge(lesion.id, kind, newLabel),
      edit: () => {
        this.#editor.edit(lesion.id, this.#draft.verdictOf(lesion.id)?.outline ?? null);
        this.#showPicture();
      },
      undo: () => this.#draft.correct(lesion.id, null),
    });
    verdict.element.inert = this.#body.inert;
    selectFrom(verdict.element, () => this.#viewer.select(lesion.id));
    this.#viewer.placeOf(lesion.id).replaceChildren(verdict.element);
    return verdict;
  }

  #update() {
    for (const [id, verdict] of this.#verdicts) verdict.show(this.#draft.verdictOf(id));
    this.#missed.update();
    this.#part(".no-lesion").hidden = this.#verdicts.size > 0;
    this.#part(".ungradable-reason").value = this.#draft.ungradable;
    this.#part(".comment").value = this.#draft.comment;
    this.#part(".save").disabled = !this.#draft.isChanged;
    this.#offerRest();
    this.#showRest(this.#verdicts.size - this.#draft.judged);
    if (this.#draft.isChanged) this.#part(".saved").textContent = message("review.unsaved");
    this.#viewer.annotate(this.#draft.annotations);
    this.#tell("reviewed", reviewedWords(this.#draft, this.#study.answer));
  }

  // Offer to accept the lesions that are shown and not judged: not those that the filter hides.
  #offerRest() {
    this.#part(".accept-rest").hidden = this.#unjudged.length === 0;
  }

  get #unjudged() {
    return this.#viewer.shown.map(({ id }) => id).filter((id) => this.#draft.verdictOf(id) === null);
  }

  // Say how many lesions have no verdict, once some part of the image was judged.
  #showRest(count) {
    this.#part(".rest").hidden = count === 0 || this.#draft.isEmpty;
    this.#part(".rest").textContent = message("review.rest", { count, total: this.#verdicts.size });
  }

  #showHistory(versions) {
    const lines = versions.map(({ version, by, at }) =>
      text("li", message("review.version", { version, by: by.replace(/^\w+:/, ""), time: clock(new Date(at)) })),
    );
    this.#part(".history").replaceChildren(...lines);
    this.#part(".said").hidden = lines.length === 0;
  }

  #tellEarlier(words) {
    this.#part(".earlier-latest").textContent = words;
    this.#part(".earlier-latest").hidden = words === "";
  }

  #takeOver(content) {
    this.#draft?.takeOver(content);
    this.#part(".save").focus();
  }

  #acceptRest() {
    this.#draft.acceptRest(this.#unjudged);
    this.#part(".save").focus();
  }

  #draw(label) {
    this.#draft.drawnLabel = label;
    this.#editor.draw();
    this.#showPicture();
  }

  // Bring the picture into sight, with the editor's buttons below it.
  #showPicture() {
    this.#viewer.place("editor").closest(".viewer").scrollIntoView({ block: "start" });
  }

  #takeOutline({ id, segmentation, isChanged }) {
    if (!isChanged) return; // nothing is corrected
    if (id !== null) {
      this.#draft.correct(id, segmentation);
      return;
    }
    const added = this.#draft.addMissed(this.#draft.drawnLabel, segmentation);
    this.#missed.forgetChoice();
    this.#missed.reveal(added);
  }

  // Return whether the draft can be saved; say what is missing where it cannot.
  #isComplete() {
    if (this.#editor.isActive) {
      this.#editor.remind();
      this.#showPicture();
      return false;
    }
    const lesion = this.#study.lesions.find(({ id }) => this.#draft.unnamed.includes(id));
    if (lesion === undefined) return true;
    if (!this.#viewer.shown.some(({ id }) => id === lesion.id)) this.#viewer.showAll();
    this.#part(".saved").textContent = message("review.otherClassFirst", lesion);
    this.#verdicts.get(lesion.id).askClass();
    return false;
  }

  async #save() {
    if (!this.#isComplete()) return;
    const result = this.#result;
    const study = this.#study;
    const draft = this.#draft;
    this.#part(".save").disabled = true;
    this.#setInert(true); // what is changed meanwhile would be lost without a word
    this.#part(".saved").textContent = message("review.saving");
    await this.#attempt(async () => {
      const view = await this.#drafts.save(result, draft, study);
      if (result !== this.#result) return;
      this.#fill(await this.#drafts.of(result, study));
      this.#part(".saved").textContent = message("review.saved", { version: view.version });
    });
    this.#setInert(false);
    if (result === this.#result && this.#draft === draft) this.#update();
  }

  #setInert(isInert) {
    for (const { element } of [{ element: this.#body }, ...this.#verdicts.values()]) element.inert = isInert;
  }

  // Read what the service has, in place of what is not saved.
  #readAgain() {
    this.#drafts.forget(this.#result);
    this.#clear();
    this.#read();
  }

  // Do what may be refused, and show why it was.
  async #attempt(action) {
    const result = this.#result;
    this.#showProblem(null);
    try {
      await action();
    } catch (error) {
      if (error instanceof SessionChanged) {
        this.#tell("session", error);
      } else if (result === this.#result) {
        this.#showProblem(error);
      }
    }
  }

  #showProblem(error) {
    this.#part(".problem").hidden = error === null;
    this.#part(".problem-words").replaceChildren(...(error === null ? [] : explain(error)));
    if (error !== null) this.#part(".saved").textContent = "";
  }

  #tell(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }

  #part(selector) {
    const [part] = [this.#lead, this.#body, this.#foot].map((root) => root.querySelector(selector)).filter(Boolean);
    return part;
  }
}
