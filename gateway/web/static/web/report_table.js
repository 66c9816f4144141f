import { classNameOf } from "./class_names.js";
import { copyOf, text } from "./elements.js";
import { language, written } from "./language.js";
import { message } from "./messages.js";
import { percent } from "./percent.js";
import { modelArea } from "./review/after_review.js";
import { lettered } from "./review/missed.js";
import { verdictWords } from "./review/said.js";
import { Mask } from "./viewer/mask.js";
import { measurementsOf, sizeOfOutline } from "./viewer/measure.js";
import { Scale } from "./viewer/scale.js";
import { bySeverity } from "./viewer/severity.js";

const NOTHING = "–";
const SCALE_DIGITS = 3;

// Return the lesions of an answer as a table for print: those of the model, the most severe class first,
// each with what a draft says of it, and then those that the model missed. `draft` is null where nothing
// was said. Sizes are in millimetres where a person gave the scale.
export function reportTable(answer, name, draft) {
  const table = copyOf("report-lesions").firstElementChild;
  table.caption.textContent = message("report.lesions", { name });
  const scale = new Scale(answer);
  const lesions = bySeverity(answer.detections, (detection) => detection.class_id);
  table.tBodies[0].append(
    ...lesions.map((detection) => modelRow(detection, answer, scale, draft)),
    ...lettered(draft?.missed ?? []).map((lesion) => missedRow(lesion, answer, scale)),
  );
  return table;
}

// Return in which unit the sizes are, and where the scale came from.
export function scaleWords(answer) {
  const { millimetres, line } = new Scale(answer);
  if (millimetres === null) return message("report.scale.none");
  const value = millimetres.toLocaleString(language, { maximumSignificantDigits: SCALE_DIGITS });
  if (!line) return message("report.scale.typed", { value });
  return message("report.scale.line", { value, pixels: written(line.pixels), millimetres: line.millimetres.toLocaleString(language) });
}

function modelRow(detection, answer, scale, draft) {
  const verdict = draft?.verdictOf(detection.id) ?? null;
  const row = rowOf(
    [String(detection.id + 1), classNameOf(answer.model, detection.label), percent(detection.score)],
    sizesOf(sizeOf(detection, answer.image), answer.image, scale),
    draft === null ? NOTHING : verdictWords(verdict, answer.model),
  );
  if (verdict?.outline) row.lastElementChild.append(text("p", outlineWords(verdict.outline, scale)));
  row.classList.toggle("is-rejected", verdict?.verdict === "reject");
  return row;
}

function missedRow({ letter, label, count, outline }, answer, scale) {
  const size = outline === null ? null : sizesOf(sizeOfOutline(outline), answer.image, scale);
  const name = message("review.missed", { label: classNameOf(answer.model, label), count });
  return rowOf([letter ?? NOTHING, name, NOTHING], size ?? [NOTHING, NOTHING, NOTHING], message("said.added"));
}

function rowOf([number, name, score], sizes, said) {
  const row = document.createElement("tr");
  const cells = [score, ...sizes].map((value) => text("td", value));
  row.append(text("td", number), nameCell(name), ...cells, text("td", said, "said"));
  return row;
}

// Return a cell with the name of a class, whose lines may end after an underscore, too.
function nameCell(name) {
  const cell = document.createElement("td");
  cell.append(...name.split(/(?<=_)/).flatMap((part, index) => (index === 0 ? [part] : [document.createElement("wbr"), part])));
  return cell;
}

// Return the area and the longest diameter of a lesion in pixels; where the model has no masks, the area
// is that of its box, and the diameter null.
function sizeOf(detection, { width, height }) {
  const mask = detection.mask === null ? null : Mask.of(detection.mask, width, height);
  return measurementsOf({ box: detection.box, area: modelArea(detection), mask });
}

function sizesOf({ area, diameter }, { width, height }, scale) {
  return [
    scale.area(Math.round(area)),
    diameter === null ? NOTHING : scale.length(diameter),
    `${written((area / (width * height)) * 100, 2)} %`,
  ];
}

function outlineWords(outline, scale) {
  const { area, diameter } = sizeOfOutline(outline);
  return message("report.corrected", { area: scale.area(Math.round(area)), diameter: scale.length(diameter) });
}
