import { copyOf, text } from "./elements.js";
import { clock } from "./files.js";
import { message } from "./messages.js";
import { percent } from "./percent.js";
import { consequence, reasonsOf } from "./quality.js";
import { reportTable, scaleWords } from "./report_table.js";
import { reviewLines, summaryOf } from "./review/review_report.js";
import { Study } from "./viewer/study.js";
import { Viewer } from "./viewer/viewer.js";

const PICTURE_SIDE = 1600;

// Return the part of the report about one image: its findings with what the draft of its review says, or
// null where nothing was said. `urlOf` makes a URL of a blob, and revokes it with the report.
export async function imagePart(image, draft, urlOf) {
  const { result, name } = image;
  const { answer, count } = result;
  const section = copyOf("report-image").firstElementChild;
  const part = (selector) => section.querySelector(selector);
  part("h2 bdi").textContent = name;
  part(".count").textContent = message("report.found.model", { headline: result.headline });
  part(".said-count").textContent = draft === null ? "" : summaryOf(draft, answer.detections.map(({ id }) => id));
  part(".consequence").hidden = !result.isUngradable;
  if (result.isUngradable) {
    part(".reasons").append(...reasonsOf(answer.quality).map((reason) => text("li", reason)));
    part(".consequence").textContent = consequence(answer.quality);
  }
  const picture = await numberedPicture(image, draft);
  part("figure").hidden = picture === null;
  if (picture !== null) Object.assign(part("img"), { src: urlOf(picture), alt: message("result.drawn", { name }) });
  if (count > 0 || draft?.missed?.length) {
    part(".findings-table").append(reportTable(answer, name, draft), text("p", scaleWords(answer), "scale"));
  }
  part(".report-review").append(...reviewLines(draft, answer));
  part(".identity").append(...pairs(identity(result)));
  return section;
}

// Return terms with their values, for a <dl>.
export function pairs(entries) {
  return entries.map(([key, value]) => {
    const pair = document.createElement("div");
    pair.append(text("dt", message(key)), text("dd", value));
    return pair;
  });
}

// Return the image with its lesions numbered and what a draft says of them, or null where there is no
// picture of it.
async function numberedPicture({ result, blob, name, isShowable }, draft) {
  if (!isShowable) return result.picture;
  const study = await Study.of(result.answer, blob, { name, time: result.time });
  const viewer = new Viewer(document.createElement("div"));
  try {
    viewer.show(study);
    if (draft !== null) viewer.annotate(draft.annotations);
    return await viewer.picture({ maxSide: PICTURE_SIDE });
  } finally {
    viewer.release();
    study.release();
  }
}

function identity({ answer, time, isUngradable }) {
  const { model, image, options, quality, request_id: id } = answer;
  const threshold = options.score_threshold ?? model.score_threshold;
  const gradable = quality?.gradable ? "report.gradable" : "report.unassessed";
  return [
    ["report.model", `${model.name} ${model.version}`],
    ["report.bundle", model.bundle_sha256.slice(0, 16)],
    ["report.engine", `${model.engine}, ${model.precision}`],
    ["report.threshold", percent(threshold)],
    ["report.analysed", clock(time)],
    ["report.image", message("provenance.image", image)],
    ["report.quality", message(isUngradable ? "report.check" : gradable)],
    ["report.request", id],
    ["report.digest", image.sha256 ?? "–"],
  ];
}
