import { classNameOf } from "./class_names.js";
import { copyOf, text } from "./elements.js";
import { clock } from "./files.js";
import { written } from "./language.js";
import { message } from "./messages.js";
import { percent } from "./percent.js";
import { bySeverity } from "./viewer/severity.js";

// Return the lesions of an image as a table that names it, the most severe class first.
export function lesionTable({ answer }, name) {
  const lesions = bySeverity(answer.detections, (detection) => detection.class_id);
  const table = copyOf("lesion-table").firstElementChild;
  table.caption.textContent = message("result.caption", { name });
  table.tBodies[0].append(...lesions.map((detection) => lesionRow(detection, answer)));
  return table;
}

// Return when and by what an image was analysed, in one line.
export function provenance({ answer: { model, image, request_id: id }, time }) {
  const { name, version, bundle_sha256: bundle } = model;
  return [
    clock(time),
    message("provenance.model", { name, version, digest: bundle.slice(0, 12) }),
    message("provenance.image", image),
    message("provenance.request", { id }),
  ].join(" · ");
}

function lesionRow(detection, { model, image: { width, height } }) {
  const area = detection.mask_area ?? detection.box_area;
  const row = document.createElement("tr");
  row.append(
    text("td", String(detection.id + 1)),
    text("td", classNameOf(model, detection.label)),
    text("td", percent(detection.score)),
    text("td", message("result.pixels", { area: written(area) })),
    text("td", `${written((area / (width * height)) * 100, 2)} %`),
  );
  return row;
}
