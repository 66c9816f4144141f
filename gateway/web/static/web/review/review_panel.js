import { copyOf, text } from "../elements.js";
import { clock } from "../files.js";
import { message } from "../messages.js";
import { explain } from "../problem.js";
import { SessionChanged } from "../session.js";
import { OutlineEditor } from "../viewer/outline_editor.js";
import { LesionVerdict } from "./lesion_verdict.js";

// The review of the study in a viewer: verdicts on its lesions, those that the model missed, whether
// the image can be judged, a comment. It is read from the service once it is opened. Dispatches
// "session" with a SessionChanged that a request met.
export class ReviewPanel extends EventTarget {
  element = copyOf("review").firstElementChild;
  #drafts;
  #viewer;
  #editor;
  #result = null;
  #study = null;
  #draft = null;
  #rows = new Map();

  constructor(viewer, drafts) {
    super();
    this.#viewer = viewer;
    this.#drafts = drafts;
    this.#editor = new OutlineEditor(viewer);
    this.#editor.addEventListener("outline", ({ detail }) => this.#takeOutline(detail));
    viewer.addEventListener("select", ({ detail }) => this.#mark(detail.id));
    this.element.addEventListener("toggle", () => this.#open());
    this.#part("form").addEventListener("submit", (event) => this.#save(event));
    this.#part(".accept-rest").addEventListener("click", () => this.#acceptRest());
    this.#part(".none-missed").addEventListener("change", ({ target }) => this.#say("missed", target.checked ? [] : null));
    this.#part(".draw").addEventListener("click", () => this.#draw());
    this.#part(".again").addEventListener("click", () => this.#readAgain());
    this.#part(".ungradable-reason").addEventListener("change", ({ target }) => this.#say("ungradable", target.value));
    this.#part(".comment").addEventListener("input", ({ target }) => this.#say("comment", target.value));
    this.show(null, null);
  }

  // Offer the review of a result whose study the viewer shows; null offers none.
  show(result, study) {
    this.#editor.cancel();
    this.#result = result;
    this.#study = study;
    this.#clear();
    this.element.hidden = result === null;
    if (result !== null && this.element.open) this.#open();
  }

  #clear() {
    this.#draft = null;
    this.#rows.clear();
    this.#part(".verdicts").replaceChildren();
    this.#part(".missed").replaceChildren();
    this.#part(".history").replaceChildren();
    this.#part(".comment").value = "";
    this.#part(".saved").textContent = "";
    this.#part("form").hidden = true;
    this.#showProblem(null);
  }

  async #open() {
    const result = this.#result;
    if (!this.element.open || result === null || this.#draft !== null) return;
    await this.#attempt(async () => {
      const draft = await this.#drafts.of(result, this.#study);
      if (result === this.#result) this.#fill(draft);
    });
  }

  #fill(draft) {
    this.#draft = draft;
    const labels = this.#study.classes.map(({ label }) => label);
    this.#rows = new Map(this.#study.lesions.map((lesion) => [lesion.id, this.#row(lesion, labels)]));
    this.#part(".verdicts").replaceChildren(...[...this.#rows.values()].map(({ element }) => element));
    this.#part(".missed-class").replaceChildren(...labels.map((label) => new Option(label, label)));
    this.#part(".ungradable-reason").value = draft.ungradable;
    this.#part(".comment").value = draft.comment;
    this.#part("form").hidden = false;
    this.#showHistory(draft.view.versions);
    this.#update();
  }

  #row(lesion, labels) {
    return new LesionVerdict(lesion, labels, {
      judge: (verdict, newLabel) => {
        this.#draft.judge(lesion.id, verdict, newLabel);
        this.#update();
      },
      edit: () => {
        this.#editor.edit(lesion.id, this.#draft.verdictOf(lesion.id)?.outline ?? null);
        this.#showPicture();
      },
      focus: () => {
        this.#viewer.select(lesion.id);
        this.#mark(lesion.id);
      },
    });
  }

  #update() {
    for (const [id, row] of this.#rows) row.show(this.#draft.verdictOf(id));
    const missed = this.#draft.missed ?? [];
    this.#part(".missed").replaceChildren(...missed.map((each, index) => this.#missedRow(each, index)));
    this.#part(".none").hidden = missed.length > 0;
    this.#part(".none-missed").checked = this.#draft.missed !== null;
    this.#part(".none-missed").disabled = this.#draft.isMissedSaid;
    this.#part(".no-lesion").hidden = this.#rows.size > 0;
    this.#part(".accept-rest").hidden = this.#draft.judged === this.#rows.size;
    this.#part(".save").disabled = !this.#draft.isChanged;
    if (this.#draft.isChanged) this.#part(".saved").textContent = message("review.unsaved");
  }

  #missedRow({ label, count }, index) {
    const row = document.createElement("li");
    const name = message("review.missed", { label, count });
    const remove = text("button", message("review.remove"), "quiet small");
    remove.type = "button";
    remove.ariaLabel = message("review.removeNamed", { name });
    remove.addEventListener("click", () => {
      this.#draft.removeMissed(index);
      this.#update();
      this.#part(".draw").focus();
    });
    row.append(text("span", name), remove);
    return row;
  }

  #showHistory(versions) {
    const lines = versions.map(({ version, by, at }) =>
      text("li", message("review.version", { version, by: by.replace(/^\w+:/, ""), time: clock(new Date(at)) })),
    );
    this.#part(".history").replaceChildren(...lines);
    this.#part(".said").hidden = lines.length === 0;
  }

  #mark(id) {
    for (const [each, row] of this.#rows) row.mark(each === id);
  }

  #say(field, words) {
    this.#draft.say(field, words);
    this.#update();
  }

  #acceptRest() {
    for (const id of this.#rows.keys()) if (this.#draft.verdictOf(id) === null) this.#draft.judge(id, "accept");
    this.#update();
    this.#part(".save").focus();
  }

  #draw() {
    this.#editor.draw();
    this.#showPicture();
  }

  // Bring the picture into sight, with the editor's buttons below it.
  #showPicture() {
    this.#viewer.editorBar.closest(".viewer").scrollIntoView({ block: "start" });
  }

  #takeOutline({ id, segmentation }) {
    if (id === null) this.#draft.addMissed(this.#part(".missed-class").value, segmentation);
    else this.#draft.correct(id, segmentation);
    this.#update();
  }

  async #save(event) {
    event.preventDefault();
    const result = this.#result;
    const study = this.#study;
    const draft = this.#draft;
    this.#part(".save").disabled = true;
    this.#part("form").inert = true; // what is changed meanwhile would be lost without a word
    this.#part(".saved").textContent = message("review.saving");
    await this.#attempt(async () => {
      const view = await this.#drafts.save(result, draft, study);
      if (result !== this.#result) return;
      this.#fill(await this.#drafts.of(result, study));
      this.#part(".saved").textContent = message("review.saved", { version: view.version });
    });
    this.#part("form").inert = false;
    if (result === this.#result && this.#draft === draft) this.#update();
  }

  // Read what the service has, in place of what is not saved.
  #readAgain() {
    this.#drafts.forget(this.#result);
    this.#clear();
    this.#open();
  }

  // Do what may be refused, and show why it was.
  async #attempt(action) {
    const result = this.#result;
    this.#showProblem(null);
    try {
      await action();
    } catch (error) {
      if (error instanceof SessionChanged) {
        this.dispatchEvent(new CustomEvent("session", { detail: error }));
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

  #part(selector) {
    return this.element.querySelector(selector);
  }
}
