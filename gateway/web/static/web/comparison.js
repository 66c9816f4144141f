import { classNameOf } from "./class_names.js";
import { element, text } from "./elements.js";
import { clock } from "./files.js";
import { written } from "./language.js";
import { message } from "./messages.js";
import { Scale } from "./viewer/scale.js";
import { bySeverity } from "./viewer/severity.js";

const MINUTE = 60_000; // milliseconds; files that are closer were copied together
const [DAY, TO_THE_MINUTE] = ["2026-11-25", "2026-11-25 20:16"].map(({ length }) => length); // of a clock's time

// The part above two images that are compared: which one is compared with, whether both move together,
// and a table of what was found in each. Dispatches "other" with the image that a person chooses, "swap"
// and "link".
export class Comparison extends EventTarget {
  #root = element("comparison");
  #select = element("compared-with");
  #linked = element("linked");
  #table = element("comparison-table");
  #note = element("comparison-note");
  #choices = [];

  constructor() {
    super();
    this.#select.addEventListener("change", () =>
      this.dispatchEvent(new CustomEvent("other", { detail: this.#choices[this.#select.selectedIndex] })),
    );
    this.#linked.addEventListener("change", () => this.dispatchEvent(new Event("link")));
    element("swap").addEventListener("click", () => this.dispatchEvent(new Event("swap")));
  }

  get isLinked() {
    return this.#linked.checked;
  }

  // Show the images on the left and on the right, and offer others in place of `other`, which is one of
  // them. The table waits for the results of both.
  show(images, other, choices) {
    this.#root.hidden = false;
    this.#offer(other, choices);
    const isComplete = images.every(({ result }) => result);
    this.#table.hidden = !isComplete;
    if (isComplete) this.#fill(images);
    this.#note.textContent = isComplete ? [unitNote(images), modelNote(images)].join(" ").trim() : "";
  }

  hide() {
    this.#root.hidden = true;
    this.#offer(null, []);
    this.#table.tHead.replaceChildren();
    this.#table.tBodies[0].replaceChildren();
  }

  #fill(images) {
    const head = document.createElement("tr");
    head.append(headCell(message("compare.class")), ...images.map((image) => imageCell(image, timesOf(images))));
    this.#table.tHead.replaceChildren(head);
    this.#table.tBodies[0].replaceChildren(...rowsOf(images).map((label) => rowOf(label, images)));
  }

  #offer(other, choices) {
    const isSame = choices.length === this.#choices.length && choices.every((image, index) => image === this.#choices[index]);
    if (!isSame) this.#select.replaceChildren(...choices.map(({ name }, index) => new Option(name, index)));
    this.#choices = choices;
    this.#select.selectedIndex = choices.indexOf(other);
    this.#select.closest("label").hidden = choices.length < 2;
  }
}

// Return two images with the older file first; where their times tell nothing, as they are.
export function byAge(images) {
  const [first, second] = images.map(({ modified }) => modified);
  return first - second > MINUTE ? images.toReversed() : images;
}

// Return the classes that either image has lesions of, the most severe first; without any, one row for all.
function rowsOf(images) {
  const classes = bySeverity(images.flatMap(({ result }) => result.classes));
  const labels = new Set(classes.map(({ label }) => label));
  return labels.size > 0 ? [...labels] : [message("compare.lesions")];
}

function headCell(content) {
  return Object.assign(text("th", content), { scope: "col" });
}

// Return how a time is written: as a day, or to the minute where both files are of the same day.
function timesOf(images) {
  const [first, second] = images.map(({ modified }) => clock(new Date(modified)).slice(0, DAY));
  return (modified) => clock(new Date(modified)).slice(0, first === second ? TO_THE_MINUTE : DAY);
}

function imageCell({ name, modified, result }, timeOf) {
  const cell = headCell("");
  cell.append(text("bdi", name), text("span", message("compare.file", { time: timeOf(modified) }), "hint"));
  if (result.isUngradable) cell.append(text("span", message("result.unreliable"), "unreliable"));
  return cell;
}

function rowOf(label, images) {
  const row = document.createElement("tr");
  const name = classNameOf(images[0].result.answer.model, label);
  const head = Object.assign(text("th", name), { scope: "row" });
  row.append(head, ...images.map((image) => text("td", cellOf(label, image, areMeasured(images)))));
  return row;
}

// Return how many lesions of a class an image has, and the area of the largest.
function cellOf(label, { result }, isMeasured) {
  if (result.isWithheld) return message("compare.withheld");
  const lesions = result.answer.detections.filter((detection) => detection.label === label);
  if (lesions.length === 0) return message("compare.none");
  const largest = Math.max(...lesions.map(({ mask_area: area, box_area: box }) => area ?? box));
  const area = isMeasured
    ? new Scale(result.answer).area(largest)
    : message("result.pixels", { area: written(Math.round(largest)) });
  return message("compare.found", { count: lesions.length, area });
}

// Return whether both images have a scale; else areas are in pixels, so that they have one unit.
function areMeasured(images) {
  return images.every(({ result }) => new Scale(result.answer).millimetres !== null);
}

function unitNote(images) {
  if (areMeasured(images)) return "";
  const without = images.filter(({ result }) => new Scale(result.answer).millimetres === null);
  return message(without.length === 1 ? "compare.scale" : "compare.scales", { name: without[0].name });
}

function modelNote(images) {
  const [one, other] = images.map(({ result }) => result.answer.model.bundle_sha256);
  return one === other ? "" : message("compare.models");
}
