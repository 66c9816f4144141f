import { copyOf, text } from "./elements.js";
import { clock } from "./files.js";
import { message } from "./messages.js";
import { percent } from "./percent.js";

// Return the lesions of an image as a table that names it.
export function lesionTable({ answer }, name) {
  const table = copyOf("lesion-table").firstElementChild;
  table.caption.textContent = message("result.caption", { name });
  table.tBodies[0].append(...answer.detections.map((detection) => lesionRow(detection, answer.image)));
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

function lesionRow(detection, { width, height }) {
  const area = detection.mask_area ?? detection.box_area;
  const row = document.createElement("tr");
  row.append(
    text("td", String(detection.id + 1)),
    text("td", detection.label),
    text("td", percent(detection.score)),
    // In the page's own language: "1.234" would be another number beside "92.5 %".
    text("td", message("result.pixels", { area: Math.round(area).toLocaleString("en") })),
    text("td", `${((area / (width * height)) * 100).toFixed(2)} %`),
  );
  return row;
}
