import { message } from "../messages.js";
import { selectFrom } from "./linked_row.js";
import { lettered } from "./missed.js";
import { MissedRow } from "./missed_row.js";

// The lesions that the model missed: a row for each, and the button that draws one more, whose class is chosen
// first. A row and its lesion in the viewer mark each other. `actions` holds what to call: draw(label).
export class MissedList {
  #root;
  #viewer;
  #draft = null;
  #study = null;
  #rows = [];
  #marked = null; // the id of the selected lesion

  constructor(root, viewer, { draw }) {
    this.#root = root;
    this.#viewer = viewer;
    viewer.addEventListener("select", ({ detail }) => this.#mark(detail.id));
    viewer.addEventListener("hover", ({ detail }) => this.#hover(detail.id));
    this.#part(".none-missed").addEventListener("change", ({ target }) => this.#draft.say("missed", target.checked ? [] : null));
    this.#choice.addEventListener("change", () => this.#tell(""));
    this.#part(".draw").addEventListener("click", () => this.#draw(draw));
  }

  // List those of a draft on this study from now on; `update` shows them.
  open(draft, study) {
    this.#draft = draft;
    this.#study = study;
    this.#choice.replaceChildren(this.#choice.options[0], ...study.classes.map(({ name, label }) => new Option(name, label)));
    this.#tell("");
  }

  clear() {
    this.#rows = [];
    this.#marked = null;
    this.#part(".missed").replaceChildren();
  }

  update() {
    this.#rows = lettered(this.#draft.missed ?? []).map((lesion, index) => this.#rowOf(lesion, index));
    this.#part(".missed").replaceChildren(...this.#rows.map(({ row }) => row.element));
    this.#part(".none").hidden = this.#rows.length > 0;
    this.#part(".none-missed").checked = this.#draft.missed !== null;
    this.#part(".none-missed").disabled = this.#draft.isMissedSaid;
    this.#mark(this.#marked);
  }

  // Ask for the class of the next one anew.
  forgetChoice() {
    this.#choice.selectedIndex = 0;
  }

  // Select a lesion, and bring its row into sight.
  reveal(id) {
    this.#viewer.select(id);
    this.#mark(id);
    this.#rows.find((each) => each.id === id).row.element.scrollIntoView({ block: "nearest" });
  }

  get #choice() {
    return this.#part(".missed-class");
  }

  #rowOf(lesion, index) {
    const { classes } = this.#study;
    const named = { ...lesion, name: this.#study.nameOf(lesion.label), ...this.#study.coloursOf(lesion.label) };
    const row = new MissedRow(named, classes, {
      relabel: (label) => this.#relabel(index, label),
      remove: () => {
        this.#draft.removeMissed(index);
        this.#choice.focus();
      },
    });
    if (lesion.letter !== null) this.#link(row.element, lesion.id);
    return { id: lesion.id, row };
  }

  #link(element, id) {
    selectFrom(element, () => {
      this.#viewer.select(id);
      this.#mark(id);
    });
    element.addEventListener("pointerenter", () => this.#viewer.hover(id));
    element.addEventListener("pointerleave", () => this.#viewer.hover(null));
  }

  // The rows are made anew, in the order of their letters.
  #relabel(index, label) {
    const id = this.#draft.relabelMissed(index, label);
    this.#rows.find((each) => each.id === id).row.focus();
  }

  #draw(draw) {
    if (this.#choice.value !== "") {
      draw(this.#choice.value);
      return;
    }
    this.#tell(message("review.classFirst"));
    this.#choice.focus();
  }

  #tell(words) {
    this.#part(".missed-problem").textContent = words;
  }

  #mark(id) {
    this.#marked = id;
    for (const { id: each, row } of this.#rows) {
      if (each === id) row.element.setAttribute("aria-current", "true");
      else row.element.removeAttribute("aria-current");
    }
  }

  #hover(id) {
    for (const { id: each, row } of this.#rows) row.element.classList.toggle("hovered", each === id);
  }

  #part(selector) {
    return this.#root.querySelector(selector);
  }
}
