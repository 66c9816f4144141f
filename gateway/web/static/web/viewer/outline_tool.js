import { Crosshair, clamp, keepInView, moved } from "./crosshair.js";
import { ARROWS } from "./keys.js";
import { paintOutline } from "./outline_paint.js";

const MOST_UNDONE = 200;

// The tool with which an outline is drawn and changed. `loops` are lists of points [x, y] in upright
// source pixels; while `isOpen`, points are still added to the last. `chosen` is the point that keys
// and taps move: { loop, point } or null. Dispatches "change" after each change, "closed" when a new
// outline is closed, "undone", "redone", and "done" or "cancelled" where a key asks for that.
export class OutlineTool extends EventTarget {
  #viewport;
  #crosshair;
  #history = [];
  #undone = []; // what can be done again, the last first to come
  #held = null; // the state before the drag
  #hold = null;
  #pointer = null;

  constructor(viewport, loops) {
    super();
    this.#viewport = viewport;
    this.#crosshair = new Crosshair(viewport);
    this.isOpen = loops === null;
    this.loops = loops ?? [[]];
    this.chosen = null;
  }

  // Return a tool that goes on from the `state` of another one.
  static resumed(viewport, { history, undone, ...state }) {
    const tool = Object.assign(new OutlineTool(viewport, state.loops), state);
    tool.#history = history;
    tool.#undone = undone;
    return tool;
  }

  // What is drawn so far, and how; it belongs to no viewport.
  get state() {
    return { loops: this.loops, isOpen: this.isOpen, chosen: this.chosen, history: this.#history, undone: this.#undone };
  }

  get canUndo() {
    return this.#history.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  get canRemove() {
    return this.chosen !== null && (this.isOpen || this.loops[this.chosen.loop].length > 3);
  }

  grab(place, reach) {
    const near = this.#pointAt(place, reach);
    const between = near === null && !this.isOpen ? this.#middleAt(place, reach) : null;
    if (near === null && between === null) return false;
    this.#held = this.#snapshot;
    this.#hold = near ?? this.#insert(between);
    this.chosen = this.#hold;
    return true;
  }

  drag(place) {
    this.#put(this.#hold, place);
    this.#tell("change");
  }

  drop(isCancelled) {
    if (isCancelled) Object.assign(this, this.#held);
    else this.#remember(this.#held);
    this.#hold = null;
    this.#tell("change");
  }

  tap(place, reach) {
    const near = this.#pointAt(place, reach);
    if (this.isOpen) {
      if (near?.point === 0 && this.loops.at(-1).length >= 3) this.close();
      else if (near === null) this.#add(place);
      return;
    }
    const between = near === null ? this.#middleAt(place, reach) : null;
    if (near !== null) this.chosen = isSame(near, this.chosen) ? null : near;
    else if (between !== null) this.#change(() => (this.chosen = this.#insert(between)));
    else if (this.chosen !== null) this.#change(() => this.#put(this.chosen, place));
    this.#tell("change");
  }

  hover(place) {
    this.#pointer = place;
    if (this.isOpen) this.#tell("change");
  }

  // Return whether the key was one of the tool.
  key(event) {
    if (event.ctrlKey || event.metaKey) return this.#keyWithControl(event);
    if (event.key === "Escape") return this.#do(() => this.#tell("cancelled"));
    if (event.key === "Enter") return this.#do(() => (this.isOpen ? this.close() : this.#tell("done")));
    return this.isOpen ? this.#keyWhileOpen(event) : this.#keyWhileClosed(event);
  }

  // Close the outline that is drawn; with less than three points nothing happens but "few".
  close() {
    if (this.loops.at(-1).length < 3) {
      this.#tell("few");
      return;
    }
    this.#change(() => (this.isOpen = false));
    this.#crosshair.place = null;
    this.chosen = null;
    this.#tell("closed");
  }

  undo() {
    if (!this.canUndo) return;
    this.#undone.push(this.#snapshot);
    Object.assign(this, this.#history.pop());
    this.#tell("undone");
    this.#tell("change");
  }

  // Do again what was undone last, as long as nothing else was changed since.
  redo() {
    if (!this.canRedo) return;
    this.#history.push(this.#snapshot);
    Object.assign(this, this.#undone.pop());
    this.#tell("redone");
    this.#tell("change");
  }

  // Add a point in the middle of the side that follows the chosen point, and choose it.
  addPoint() {
    const before = this.chosen ?? { loop: 0, point: 0 };
    this.#change(() => (this.chosen = this.#insert(before)));
  }

  removePoint() {
    if (!this.canRemove) return;
    this.#change(() => {
      const { loop, point } = this.chosen;
      this.loops[loop].splice(point, 1);
      const left = this.loops[loop].length;
      this.chosen = left === 0 ? null : { loop, point: point % left };
    });
  }

  // Choose the next (1) or the previous (-1) point.
  step(way) {
    const all = this.loops.flatMap((loop, index) => loop.map((_, point) => ({ loop: index, point })));
    if (all.length === 0) return;
    const now = all.findIndex((each) => isSame(each, this.chosen));
    this.chosen = all[now < 0 ? 0 : (now + way + all.length) % all.length];
    keepInView(this.#viewport, this.chosenPlace);
    this.#tell("change");
  }

  get chosenPlace() {
    return this.chosen === null ? null : this.loops[this.chosen.loop][this.chosen.point];
  }

  paint(context, ratio) {
    const pointer = this.#crosshair.place ?? this.#pointer;
    paintOutline(context, this.#viewport, this, this.isOpen ? pointer : null, ratio);
    if (this.isOpen) this.#crosshair.paint(context, ratio);
  }

  // Undo by Ctrl Z, and redo by Ctrl Y or Ctrl Shift Z; on a Mac with Cmd.
  #keyWithControl({ key, shiftKey }) {
    const letter = key.toLowerCase();
    if (letter === "z" && !shiftKey) return this.#do(() => this.undo());
    return letter === "y" || letter === "z" ? this.#do(() => this.redo()) : false;
  }

  #keyWhileOpen(event) {
    if (this.#crosshair.key(event)) return this.#do(() => this.#tell("change"));
    if (event.key === " ") {
      this.#crosshair.place ??= [this.#viewport.x, this.#viewport.y];
      return this.#do(() => this.#add(this.#crosshair.place));
    }
    if (event.key !== "Backspace" && event.key !== "Delete") return false;
    return this.#do(() => this.undo());
  }

  #keyWhileClosed(event) {
    const arrow = ARROWS[event.key];
    if (arrow && this.chosen !== null) {
      const place = moved(this.chosenPlace, arrow, event.shiftKey, this.#viewport);
      this.#change(() => this.#put(this.chosen, place));
      keepInView(this.#viewport, place);
      return true;
    }
    const actions = {
      n: () => this.step(1),
      p: () => this.step(-1),
      a: () => this.addPoint(),
      delete: () => this.removePoint(),
      backspace: () => this.removePoint(),
    };
    const action = actions[event.key.toLowerCase()];
    return action ? this.#do(action) : false;
  }

  #do(action) {
    action();
    return true;
  }

  #add(place) {
    this.#change(() => {
      this.loops.at(-1).push(place.map((value, axis) => this.#within(value, axis)));
      this.chosen = { loop: this.loops.length - 1, point: this.loops.at(-1).length - 1 };
    });
  }

  #change(action) {
    this.#remember(this.#snapshot);
    action();
    this.#tell("change");
  }

  #put({ loop, point }, place) {
    this.loops[loop][point] = place.map((value, axis) => this.#within(value, axis));
  }

  // Insert a point in the middle of the side after this one, and return where.
  #insert({ loop, point }) {
    this.loops[loop].splice(point + 1, 0, middle(this.loops[loop], point));
    return { loop, point: point + 1 };
  }

  #within(value, axis) {
    return clamp(value, axis === 0 ? this.#viewport.imageWidth : this.#viewport.imageHeight);
  }

  #pointAt(place, reach) {
    return nearest(this.loops, (loop, point) => loop[point], place, reach);
  }

  // Return the point before the side whose middle is near; a side must be long enough to have one.
  #middleAt(place, reach) {
    const isLong = (loop, point) => distance(loop[point], loop[(point + 1) % loop.length]) > 2 * reach;
    return nearest(this.loops, (loop, point) => (isLong(loop, point) ? middle(loop, point) : null), place, reach);
  }

  // A copy of what undoing brings back.
  get #snapshot() {
    return { loops: structuredClone(this.loops), isOpen: this.isOpen, chosen: this.chosen };
  }

  // Remember the state before a change; what was undone is gone with it.
  #remember(state) {
    this.#history.push(state);
    if (this.#history.length > MOST_UNDONE) this.#history.shift();
    this.#undone = [];
  }

  #tell(kind) {
    this.dispatchEvent(new Event(kind));
  }
}

export function middle(loop, point) {
  const next = loop[(point + 1) % loop.length];
  return loop[point].map((value, axis) => (value + next[axis]) / 2);
}

export function distance(a, b) {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}

function isSame(a, b) {
  return a !== null && b !== null && a.loop === b.loop && a.point === b.point;
}

// Return the { loop, point } whose place is the nearest, within reach, or null.
function nearest(loops, placeOf, place, reach) {
  let best = null;
  let least = reach;
  loops.forEach((loop, index) => {
    loop.forEach((_, point) => {
      const other = placeOf(loop, point);
      const away = other === null ? Infinity : distance(other, place);
      if (away <= least) [best, least] = [{ loop: index, point }, away];
    });
  });
  return best;
}
