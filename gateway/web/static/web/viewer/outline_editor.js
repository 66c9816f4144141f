import { written } from "../language.js";
import { boxOf } from "./box.js";
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
  #viewBefore = null; // null where the whole image was shown

  constructor(viewer) {
    super();
    this.#viewer = viewer;
    this.#bar = viewer.place("editor");
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
    const lesion = this.#lesionOf(id);
    const { loops, hasHoles } = segmentation === null ? editable(lesion.outline, lesion.box) : ofLists(segmentation);
    this.#open(lesion, new OutlineTool(this.#viewer.viewport, loops));
    this.#viewer.focus();
    if (hasHoles) this.#say("edit.holes");
    this.#viewer.glide((viewport) => viewport.around(boxOf(loops.flat())));
  }

  // Draw the outline of a lesion that the model missed.
  draw() {
    this.#open(null, new OutlineTool(this.#viewer.viewport, null));
    this.#viewer.focus();
    this.#viewer.glide(({ whole }) => whole);
  }

  // Put away the outline that is open, as another image is shown. Return what `resume` goes on from, or null
  // where nothing is open or changed: that is cancelled.
  suspend() {
    this.#focusBefore = null; // the person is elsewhere by now
    if (!this.#tool?.canUndo) {
      this.cancel();
      return null;
    }
    const outline = { id: this.#lesion?.id ?? null, state: this.#tool.state };
    this.#leave();
    return outline;
  }

  // Go on with an outline of the study that the viewer shows, and leave the focus where the person is.
  resume({ id, state }) {
    this.#open(id === null ? null : this.#lesionOf(id), OutlineTool.resumed(this.#viewer.viewport, state));
    this.#focusBefore = null;
    this.#viewer.glide((viewport) => (id === null ? viewport.whole : viewport.around(boxOf(state.loops.flat()))));
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

  #lesionOf(id) {
    return this.#viewer.study.lesions.find((lesion) => lesion.id === id);
  }

  #open(lesion, tool) {
    if (this.isActive) this.cancel();
    else this.#viewBefore = viewOf(this.#viewer.viewport);
    this.#focusBefore = document.activeElement;
    this.#study = this.#viewer.study;
    this.#lesion = lesion;
    this.#tool = tool;
    this.#listen(tool);
    this.#part(".title").textContent =
      lesion === null ? message("edit.new") : message("edit.lesion", { number: lesion.number });
    this.#bar.hidden = false;
    this.#viewer.use(tool, lesion?.id ?? null);
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

  #leave() {
    this.#tool = null;
    this.#lesion = null;
    this.#bar.hidden = true;
    this.#viewer.use(null, null);
  }

  // End, and show a lesion that was edited as it was shown before.
  #close(key) {
    const isSeen = this.#lesion !== null && this.#viewer.study === this.#study;
    this.#leave();
    if (isSeen) this.#viewer.glide(({ whole }) => this.#viewBefore ?? whole);
    this.dispatchEvent(new Event("end"));
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

// Return the view that a viewport shows, or null for the whole image, whose scale depends on the layout.
function viewOf({ isFit, scale, x, y }) {
  return isFit ? null : { scale, x, y };
}

// Return the closed lines of an earlier result.
function ofLists(segmentation) {
  const loops = segmentation.map((list) =>
    Array.from({ length: list.length / 2 }, (_, point) => [list[2 * point], list[2 * point + 1]]),
  );
  return { loops, hasHoles: false };
}
