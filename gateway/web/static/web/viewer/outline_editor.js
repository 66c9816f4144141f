import { written } from "../language.js";
import { message } from "./messages.js";
import { OutlineTool } from "./outline_tool.js";
import { editable, problemOf, segmentationOf } from "./segmentation.js";

// Edits the outline of a lesion in a viewer, or draws that of a new one, by mouse, touch or keys.
// Dispatches "outline" with { id, segmentation, isChanged }: the lesion's id, or null for a new one, and
// COCO's segmentation lists in upright source pixels; or "cancel". Before these it dispatches "end", and "open"
// when it begins.
export class OutlineEditor extends EventTarget {
  #viewer;
  #bar;
  #tool = null;
  #lesion = null;
  #study = null;
  #focusBefore = null;

  constructor(viewer) {
    super();
    this.#viewer = viewer;
    this.#bar = viewer.editorBar;
    const actions = {
      undo: () => this.#tool.undo(),
      redo: () => this.#tool.redo(),
      previous: () => this.#tool.step(-1),
      next: () => this.#tool.step(1),
      add: () => this.#tool.addPoint(),
      remove: () => this.#tool.removePoint(),
      close: () => this.#tool.close(),
      done: () => this.#finish(),
      cancel: () => this.cancel(),
    };
    for (const button of this.#bar.querySelectorAll("[data-edit]")) {
      button.addEventListener("click", () => {
        actions[button.dataset.edit]();
        if (button.disabled) viewer.focus(); // where the keys go on
      });
    }
    viewer.addEventListener("shown", () => {
      if (!this.isActive || viewer.study === this.#study) return;
      this.#focusBefore = null; // the person is elsewhere by now
      this.cancel();
    });
  }

  get isActive() {
    return this.#tool !== null;
  }

  // Edit a lesion's outline; `segmentation` is an earlier result, or null for the model's outline.
  edit(id, segmentation = null) {
    const lesion = this.#viewer.study.lesions.find((each) => each.id === id);
    const { loops, hasHoles } = segmentation === null ? editable(lesion.outline, lesion.box) : ofLists(segmentation);
    this.#open(lesion, loops);
    if (hasHoles) this.#say("edit.holes");
    this.#viewer.enlarge(boundsOf(loops.flat()));
  }

  // Draw the outline of a lesion that the model missed.
  draw() {
    this.#open(null, null);
    this.#viewer.enlarge(null);
  }

  // Tell that the outline is to be finished or given up first.
  remind() {
    this.#say("edit.open");
    this.#viewer.focus();
  }

  cancel() {
    if (!this.isActive) return;
    this.#close("edit.cancelled");
    this.dispatchEvent(new Event("cancel"));
  }

  #open(lesion, loops) {
    if (this.isActive) this.cancel();
    this.#focusBefore = document.activeElement;
    this.#study = this.#viewer.study;
    this.#lesion = lesion;
    this.#tool = new OutlineTool(this.#viewer.viewport, loops);
    this.#listen(this.#tool);
    this.#part(".title").textContent =
      lesion === null ? message("edit.new") : message("edit.lesion", { number: lesion.number });
    this.#bar.hidden = false;
    this.#viewer.use(this.#tool, lesion?.id ?? null);
    this.#viewer.focus();
    this.#show();
    this.#viewer.announce(`${this.#part(".help").textContent} ${this.#part(".keys").textContent}`);
    this.dispatchEvent(new Event("open"));
  }

  #listen(tool) {
    tool.addEventListener("change", () => {
      this.#show();
      this.#viewer.invalidate();
    });
    tool.addEventListener("done", () => this.#finish());
    tool.addEventListener("cancelled", () => this.cancel());
    tool.addEventListener("few", () => this.#say("edit.few"));
    for (const kind of ["undone", "redone"]) tool.addEventListener(kind, () => this.#say(`edit.${kind}`));
    tool.addEventListener("closed", () => this.#say("edit.closed"));
  }

  #finish() {
    const tool = this.#tool;
    const problem = tool.isOpen ? "few" : problemOf(tool.loops);
    if (problem !== null) {
      this.#say(`edit.${problem}`);
      return;
    }
    const detail = { id: this.#lesion?.id ?? null, segmentation: segmentationOf(tool.loops), isChanged: tool.canUndo };
    this.#close("edit.done");
    this.dispatchEvent(new CustomEvent("outline", { detail }));
  }

  #close(key) {
    this.#tool = null;
    this.#lesion = null;
    this.dispatchEvent(new Event("end"));
    this.#bar.hidden = true;
    this.#viewer.use(null, null);
    this.#viewer.announce(message(key));
    if (this.#focusBefore?.isConnected) this.#focusBefore.focus();
  }

  // Show the state of the tool in its bar.
  #show() {
    const { isOpen, canUndo, canRedo, canRemove, chosenPlace } = this.#tool;
    const kind = isOpen ? "draw" : "edit";
    this.#part(".help").textContent = message(`${kind}.help`);
    this.#part(".keys").textContent = message(`${kind}.keys`);
    for (const name of ["previous", "next", "add", "remove", "done"]) this.#button(name).hidden = isOpen;
    this.#button("close").hidden = !isOpen;
    this.#button("undo").disabled = !canUndo;
    this.#button("redo").disabled = !canRedo;
    this.#button("remove").disabled = !canRemove;
    this.#part(".said").textContent = "";
    if (chosenPlace !== null && !isOpen) this.#viewer.announce(this.#chosenText());
  }

  #chosenText() {
    const { loops, chosen, chosenPlace } = this.#tool;
    const before = loops.slice(0, chosen.loop).reduce((sum, loop) => sum + loop.length, 0);
    const [x, y] = chosenPlace.map((value) => written(value));
    return message("edit.point", { number: before + chosen.point + 1, total: loops.flat().length, x, y });
  }

  #say(key) {
    this.#part(".said").textContent = message(key);
    this.#viewer.announce(message(key));
  }

  #button(name) {
    return this.#bar.querySelector(`[data-edit=${name}]`);
  }

  #part(selector) {
    return this.#bar.querySelector(selector);
  }
}

// Return the box of points, XYXY.
function boundsOf(points) {
  const [columns, rows] = [points.map(([x]) => x), points.map(([, y]) => y)];
  return [Math.min(...columns), Math.min(...rows), Math.max(...columns), Math.max(...rows)];
}

function ofLists(segmentation) {
  const loops = segmentation.map((list) =>
    Array.from({ length: list.length / 2 }, (_, point) => [list[2 * point], list[2 * point + 1]]),
  );
  return { loops, hasHoles: false };
}
