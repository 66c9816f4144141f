import { copyOf, text } from "../elements.js";
import { clock } from "../files.js";
import { message } from "../messages.js";
import { explain } from "../problem.js";
import { SessionChanged } from "../session.js";
import { OutlineEditor } from "../viewer/outline_editor.js";
import { EarlierReviews } from "./earlier.js";
import { LesionVerdict } from "./lesion_verdict.js";
import { lettered } from "./missed.js";
import { MissedRow } from "./missed_row.js";

// The review of the study in a viewer: verdicts on its lesions, those that the model missed, whether
// the image can be judged, a comment. It is read from the service once it is opened, and the viewer
// shows it from then on. Dispatches "session" with a SessionChanged that a request met.
export class ReviewPanel extends EventTarget {
  element = copyOf("review").firstElementChild;
  #drafts;
  #viewer;
  #editor;
  #earlier = new EarlierReviews(this.#part(".earlier"));
  #result = null;
  #study = null;
  #draft = null;
  #rows = new Map();
  #missedRows = [];
  #marked = null; // the id of the selected lesion
  #onChange = () => this.#update();

  constructor(viewer, drafts) {
    super();
    this.#viewer = viewer;
    this.#drafts = drafts;
    this.#editor = new OutlineEditor(viewer);
    this.#editor.addEventListener("open", () => (this.#draft.isDrawing = true));
    this.#editor.addEventListener("end", () => (this.#draft.isDrawing = false));
    this.#editor.addEventListener("outline", ({ detail }) => this.#takeOutline(detail));
    viewer.addEventListener("select", ({ detail }) => this.#mark(detail.id));
    viewer.addEventListener("hover", ({ detail }) => this.#hover(detail.id));
    this.#earlier.addEventListener("found", ({ detail }) => this.#tellEarlier(message("earlier.latest", detail)));
    this.#earlier.addEventListener("take", ({ detail }) => this.#takeOver(detail));
    this.#earlier.addEventListener("session", ({ detail }) =>
      this.dispatchEvent(new CustomEvent("session", { detail })),
    );
    this.element.addEventListener("toggle", () => this.element.open && this.#read());
    this.#part("form").addEventListener("submit", (event) => this.#save(event));
    this.#part(".accept-rest").addEventListener("click", () => this.#acceptRest());
    this.#part(".none-missed").addEventListener("change", ({ target }) => this.#draft.say("missed", target.checked ? [] : null));
    this.#part(".draw").addEventListener("click", () => this.#draw());
    this.#part(".again").addEventListener("click", () => this.#readAgain());
    this.#part(".ungradable-reason").addEventListener("change", ({ target }) => this.#draft.say("ungradable", target.value));
    this.#part(".comment").addEventListener("input", ({ target }) => this.#draft.say("comment", target.value));
    this.show(null, null);
  }

  // Offer the review of a result whose study the viewer shows; null offers none.
  show(result, study) {
    this.#editor.cancel();
    this.#result = result;
    this.#study = study;
    this.#clear();
    this.element.hidden = result === null;
    this.#tellEarlier("");
    this.#earlier.show(result, study);
    if (result !== null && (this.element.open || this.#drafts.known(result))) this.#read();
  }

  #clear() {
    this.#use(null);
    this.#rows.clear();
    this.#missedRows = [];
    this.#marked = null;
    if (this.#study !== null) this.#viewer.annotate();
    this.#part(".verdicts").replaceChildren();
    this.#part(".missed").replaceChildren();
    this.#part(".history").replaceChildren();
    this.#part(".comment").value = "";
    this.#part(".saved").textContent = "";
    this.#part("form").hidden = true;
    this.#showProblem(null);
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
    const { classes, lesions } = this.#study;
    this.#rows = new Map(lesions.map((lesion) => [lesion.id, this.#row(lesion, classes)]));
    this.#part(".verdicts").replaceChildren(...[...this.#rows.values()].map(({ element }) => element));
    this.#part(".missed-class").replaceChildren(...classes.map(({ name, label }) => new Option(name, label)));
    this.#part("form").hidden = false;
    this.#showHistory(draft.view.versions);
    this.#update();
  }

  #row(lesion, classes) {
    const row = new LesionVerdict(lesion, classes, {
      judge: (verdict, newLabel) => this.#draft.judge(lesion.id, verdict, newLabel),
      edit: () => {
        this.#editor.edit(lesion.id, this.#draft.verdictOf(lesion.id)?.outline ?? null);
        this.#showPicture();
      },
      undo: () => this.#draft.correct(lesion.id, null),
    });
    this.#link(row.element, lesion.id);
    return row;
  }

  // Let a row mark its lesion in the picture. A press of the pointer does not: a list that grows above
  // the row would move it away before the click.
  #link(element, id) {
    const select = () => {
      this.#viewer.select(id);
      this.#mark(id);
    };
    element.addEventListener("click", select, { capture: true }); // before a button brings another part into view
    element.addEventListener("focusin", ({ target }) => target.matches(":focus-visible") && select());
    element.addEventListener("pointerenter", () => this.#viewer.hover(id));
    element.addEventListener("pointerleave", () => this.#viewer.hover(null));
  }

  #update() {
    for (const { id, label } of this.#study.lesions) {
      const verdict = this.#draft.verdictOf(id);
      this.#rows.get(id).show(verdict, this.#study.coloursOf(verdict?.newLabel ?? label));
    }
    this.#showMissed();
    this.#part(".none").hidden = this.#missedRows.length > 0;
    this.#part(".none-missed").checked = this.#draft.missed !== null;
    this.#part(".none-missed").disabled = this.#draft.isMissedSaid;
    this.#part(".no-lesion").hidden = this.#rows.size > 0;
    this.#part(".ungradable-reason").value = this.#draft.ungradable;
    this.#part(".comment").value = this.#draft.comment;
    this.#part(".accept-rest").hidden = this.#draft.judged === this.#rows.size;
    this.#part(".save").disabled = !this.#draft.isChanged;
    this.#showRest(this.#rows.size - this.#draft.judged);
    if (this.#draft.isChanged) this.#part(".saved").textContent = message("review.unsaved");
    this.#viewer.annotate(this.#draft.annotations);
  }

  // Say how many lesions have no verdict, once some part of the image was judged.
  #showRest(count) {
    this.#part(".rest").hidden = count === 0 || this.#draft.isEmpty;
    this.#part(".rest").textContent = message("review.rest", { count, total: this.#rows.size });
  }

  #showMissed() {
    this.#missedRows = lettered(this.#draft.missed ?? []).map((lesion, index) => {
      const remove = () => {
        this.#draft.removeMissed(index);
        this.#part(".draw").focus();
      };
      const { label } = lesion;
      const named = { ...lesion, name: this.#study.nameOf(label), ...this.#study.coloursOf(label) };
      const { element } = new MissedRow(named, remove);
      if (lesion.letter !== null) this.#link(element, lesion.id);
      return { id: lesion.id, element };
    });
    this.#part(".missed").replaceChildren(...this.#missedRows.map(({ element }) => element));
    this.#mark(this.#marked);
  }

  #showHistory(versions) {
    const lines = versions.map(({ version, by, at }) =>
      text("li", message("review.version", { version, by: by.replace(/^\w+:/, ""), time: clock(new Date(at)) })),
    );
    this.#part(".history").replaceChildren(...lines);
    this.#part(".said").hidden = lines.length === 0;
  }

  // Return the rows of all lesions, each with the id of its lesion.
  get #allRows() {
    return [...[...this.#rows].map(([id, { element }]) => ({ id, element })), ...this.#missedRows];
  }

  #mark(id) {
    this.#marked = id;
    for (const row of this.#allRows) {
      if (row.id === id) row.element.setAttribute("aria-current", "true");
      else row.element.removeAttribute("aria-current");
    }
  }

  #hover(id) {
    for (const row of this.#allRows) row.element.classList.toggle("hovered", row.id === id);
  }

  #tellEarlier(words) {
    this.#part(".earlier-latest").textContent = words;
    this.#part(".earlier-latest").hidden = words === "";
    this.#part(".purpose").hidden = words !== "";
  }

  #takeOver(content) {
    this.#draft?.takeOver(content);
    this.#part(".save").focus();
  }

  #acceptRest() {
    this.#draft.acceptRest([...this.#rows.keys()]);
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

  #takeOutline({ id, segmentation, isChanged }) {
    if (!isChanged) return; // nothing is corrected
    if (id === null) this.#draft.addMissed(this.#part(".missed-class").value, segmentation);
    else this.#draft.correct(id, segmentation);
  }

  async #save(event) {
    event.preventDefault();
    if (this.#editor.isActive) {
      this.#editor.remind();
      this.#showPicture();
      return;
    }
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
