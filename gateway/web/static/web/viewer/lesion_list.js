import { percent } from "../percent.js";
import { copyOf, text } from "../elements.js";
import { written } from "../language.js";
import { message } from "./messages.js";

const WAYS = { ArrowDown: 1, ArrowUp: -1 };

// The list of lesions: a button for each, of which one takes the focus by Tab and the arrows reach the
// others. `onSelect` gets the id of the lesion that is chosen, or null; `onHover` that under the pointer.
export class LesionList {
  #list;
  #onSelect;
  #onHover;
  #rows = new Map();
  #study = null;
  #scale = null;
  #selected = null;

  constructor(list, onSelect, onHover) {
    this.#list = list;
    this.#onSelect = onSelect;
    this.#onHover = onHover;
    list.addEventListener("keydown", (event) => this.#key(event));
  }

  // Replace the rows by those of another study; null clears them.
  open(study, scale) {
    this.#study = study;
    this.#scale = scale;
    this.#selected = null;
    this.#rows = new Map((study?.lesions ?? []).map((lesion) => [lesion.id, this.#row(lesion)]));
    this.#list.replaceChildren(...this.#rows.values());
    this.#list.hidden = this.#rows.size === 0;
    this.measure();
  }

  // Return the element in the row of a lesion that is left to others.
  placeOf(id) {
    return this.#rows.get(id).querySelector(".viewer-place");
  }

  // Write all measurements anew, as after a change of the scale.
  measure() {
    for (const lesion of this.#study?.lesions ?? []) {
      const row = this.#rows.get(lesion.id);
      row.querySelector(".viewer-size").textContent = sizeOf(lesion, this.#scale);
      row.querySelector("dl").replaceChildren(...detailsOf(lesion, this.#study, this.#scale));
    }
  }

  // Show what a reviewer says about the lesions.
  annotate(annotations) {
    for (const each of this.#study?.lesions ?? []) {
      const lesion = annotations.of(each);
      const row = this.#rows.get(lesion.id);
      colour(row.querySelector(".viewer-number"), lesion);
      row.classList.toggle("rejected", lesion.isRejected);
      row.querySelector(".viewer-verdict").textContent = verdictOn(lesion);
    }
  }

  // Show only these lesions.
  filter(shown) {
    const ids = new Set(shown.map(({ id }) => id));
    for (const [id, row] of this.#rows) row.hidden = !ids.has(id);
    this.#rove();
  }

  // Mark the lesion that is selected, and bring its row into sight.
  select(id) {
    this.#selected = id;
    for (const [each, row] of this.#rows) {
      row.firstElementChild.ariaPressed = String(each === id);
      row.querySelector("dl").hidden = each !== id;
    }
    this.#rove();
    this.#scrollTo(this.#rows.get(id));
  }

  hover(id) {
    for (const [each, row] of this.#rows) row.classList.toggle("hovered", each === id);
  }

  // Within the column only: the page stays where it is.
  #scrollTo(row) {
    const column = this.#list.parentElement;
    if (!row || column.scrollHeight <= column.clientHeight) return;
    const [inner, outer] = [row.getBoundingClientRect(), column.getBoundingClientRect()];
    if (inner.top < outer.top) column.scrollTop -= outer.top - inner.top;
    else if (inner.bottom > outer.bottom) column.scrollTop += Math.min(inner.bottom - outer.bottom, inner.top - outer.top);
  }

  get #shown() {
    return [...this.#rows].filter(([, row]) => !row.hidden);
  }

  // The selected row, or else the first one, takes the focus by Tab.
  #rove() {
    const shown = this.#shown;
    const entry = shown.find(([id]) => id === this.#selected) ?? shown[0];
    for (const [id, row] of this.#rows) row.firstElementChild.tabIndex = id === entry?.[0] ? 0 : -1;
  }

  // What others put into a row has keys of its own.
  #key(event) {
    const shown = this.#shown;
    const now = shown.findIndex(([, row]) => row.firstElementChild === document.activeElement);
    if (now < 0) return;
    const target = { Home: 0, End: shown.length - 1 }[event.key] ?? now + (WAYS[event.key] ?? NaN);
    const next = shown[target];
    if (event.key in WAYS) event.preventDefault();
    if (next === undefined) return;
    event.preventDefault();
    this.#onSelect(next[0]);
    next[1].firstElementChild.focus({ preventScroll: true });
  }

  #row(lesion) {
    const row = copyOf("viewer-lesion").firstElementChild;
    const button = row.firstElementChild;
    const badge = row.querySelector(".viewer-number");
    badge.textContent = lesion.number;
    colour(badge, lesion);
    row.querySelector(".viewer-label").textContent = lesion.name;
    row.querySelector(".viewer-score b").textContent = percent(lesion.score);
    button.ariaPressed = "false";
    button.addEventListener("click", () => this.#onSelect(this.#selected === lesion.id ? null : lesion.id));
    row.addEventListener("pointerenter", () => this.#onHover(lesion.id));
    row.addEventListener("pointerleave", () => this.#onHover(null));
    return row;
  }
}

function colour(badge, lesion) {
  badge.style.setProperty("--class", lesion.colour);
  badge.style.setProperty("--class-ink", lesion.contrast);
}

// Return what a reviewer says about a lesion, other than that it is right; else "".
export function verdictOn({ isRejected, newName, drawn }) {
  if (isRejected) return message("verdict.reject");
  if (newName !== null) return message(drawn === null ? "verdict.relabel" : "verdict.both", { label: newName });
  return drawn === null ? "" : message("verdict.outline");
}

// Return what a lesion is called, for messages.
export function words({ number, name, score }) {
  return { number, label: name, score: percent(score) };
}

// Return the area of a lesion, with its longest diameter where it has a mask.
function sizeOf({ area, measurements: { diameter } }, scale) {
  const values = { area: scale.area(area) };
  if (diameter === null) return values.area;
  return message("size", { ...values, diameter: scale.length(diameter) });
}

function detailsOf({ area, measurements }, { width, height }, scale) {
  const { diameter } = measurements;
  const rows = [
    ...(diameter === null ? [] : [["diameter", scale.length(diameter)]]),
    ["sides", scale.sides(measurements.width, measurements.height)],
    ["share", message("zoom", { percent: written((area / (width * height)) * 100, 2) })],
  ];
  return rows.map(([key, value]) => {
    const row = document.createElement("div");
    row.append(text("dt", message(key)), text("dd", value));
    return row;
  });
}
