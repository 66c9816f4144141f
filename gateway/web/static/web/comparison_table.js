import { classNameOf } from "./class_names.js";
import { text } from "./elements.js";
import { clock } from "./files.js";
import { written } from "./language.js";
import { message } from "./messages.js";
import { judges, lesionsAfter, modelArea } from "./review/after_review.js";
import { ungradableWords } from "./review/said.js";
import { Scale } from "./viewer/scale.js";
import { bySeverity, classIdOfLabel } from "./viewer/severity.js";

const [DAY, TO_THE_MINUTE] = ["2026-11-25", "2026-11-25 20:16"].map(({ length }) => length); // of a clock's time

// The table of two images that are compared, made of sides { image, review }, of which a review is that of
// `reviewOf`, or null where it is not read yet. A cell has what the model found of a class, and below it
// what is left after the review where there is one.

// Return the row above the table: the images with the times of their files, and which are not reliable.
export function headOf(sides) {
  const timeOf = timesOf(sides);
  const head = document.createElement("tr");
  head.append(headCell(message("compare.class")), ...sides.map((side) => imageCell(side, timeOf)));
  return head;
}

// Return a row for each class of which either image has lesions, the most severe first; without any, one
// row for all.
export function rowsOf(sides) {
  const found = sides.flatMap((side) => [...modelLesions(side), ...(after(side) ?? [])].map(({ label }) => [label, side]));
  const classes = new Map(found.map(([label, { image }]) => [label, classIdOfLabel(image.result.answer, label)]));
  const ordered = bySeverity([...classes], ([, classId]) => classId).map(([label]) => label);
  const labels = ordered.length > 0 ? ordered : [message("compare.lesions")];
  return labels.map((label) => rowOf(label, sides));
}

// Return whether both images have a scale; else areas are in pixels, so that they have one unit.
export function areMeasured(sides) {
  return sides.every(({ image }) => new Scale(image.result.answer).millimetres !== null);
}

function headCell(content) {
  return Object.assign(text("th", content), { scope: "col" });
}

// Return how a time is written: as a day, or to the minute where both files are of the same day.
function timesOf(sides) {
  const [first, second] = sides.map(({ image }) => clock(new Date(image.modified)).slice(0, DAY));
  return (modified) => clock(new Date(modified)).slice(0, first === second ? TO_THE_MINUTE : DAY);
}

function imageCell({ image: { name, modified, result }, review }, timeOf) {
  const cell = headCell("");
  cell.append(text("bdi", name), text("span", message("compare.file", { time: timeOf(modified) }), "hint"));
  if (result.isUngradable) cell.append(text("span", message("result.unreliable"), "unreliable"));
  const verdicts = ungradableWords(review?.draft?.ungradable ?? "");
  if (verdicts) cell.append(text("span", message("report.found.clinician", { verdicts }), "unreliable"));
  return cell;
}

function rowOf(label, sides) {
  const row = document.createElement("tr");
  const name = classNameOf(sides[0].image.result.answer.model, label);
  row.append(Object.assign(text("th", name), { scope: "row" }), ...sides.map((side) => cellOf(label, side, areMeasured(sides))));
  return row;
}

function cellOf(label, side, isMeasured) {
  const { result } = side.image;
  const wordsOf = (lesions, isReliable) => {
    const areas = lesions.filter((lesion) => lesion.label === label).map(({ area }) => area);
    return countWords(areas, isReliable, (area) => areaWords(area, result, isMeasured));
  };
  const model = result.isWithheld ? message("compare.withheld") : wordsOf(modelLesions(side), !result.isUngradable);
  const left = after(side);
  if (left === null) return text("td", model);
  const isReliable = !result.isUngradable && side.review.draft.ungradable === "";
  const cell = document.createElement("td");
  cell.append(
    text("p", message("compare.model", { found: model })),
    text("p", message("compare.after", { found: wordsOf(left, isReliable) })),
  );
  return cell;
}

function modelLesions({ image }) {
  return image.result.answer.detections.map((detection) => ({ label: detection.label, area: modelArea(detection) }));
}

// Return the lesions after the review, or null where none says which there are.
function after({ image, review }) {
  const draft = review?.draft ?? null;
  return draft !== null && judges(draft) ? lesionsAfter(draft, image.result.answer.detections) : null;
}

// Return how many lesions there are, and the area of the largest where all are known. Where an image is
// not reliable, that there is none is not said.
function countWords(areas, isReliable, wordsOf) {
  if (areas.length === 0) return message(isReliable ? "compare.none" : "compare.unreliable");
  const found = areas.includes(null)
    ? String(areas.length)
    : message("compare.found", { count: areas.length, area: wordsOf(Math.max(...areas)) });
  return isReliable ? found : message("compare.unreliable.found", { found });
}

function areaWords(area, { answer }, isMeasured) {
  return isMeasured ? new Scale(answer).area(area) : message("result.pixels", { area: written(Math.round(area)) });
}
