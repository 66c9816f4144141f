import { copyOf, text } from "./elements.js";
import { clock } from "./files.js";
import { message } from "./messages.js";
import { percent } from "./percent.js";
import { consequence, reasonsOf } from "./quality.js";
import { reportTable, scaleWords } from "./report_table.js";
import { reviewOf } from "./review/image_review.js";
import { reviewLines, summaryOf } from "./review/review_report.js";
import { Annotations } from "./viewer/annotations.js";
import { legendOf } from "./viewer/legend.js";
import { DEFAULT_STYLE } from "./viewer/painter.js";
import { pictureOf } from "./viewer/picture.js";
import { Study } from "./viewer/study.js";

const PICTURE_SIDE = 1600;
const PAPER = { width: 180, height: 80 }; // millimetres: the least room that a picture has in print.css

// Return the part of the report about one image: its findings with what was said of them, here or before.
// `drafts` holds the reviews; `urlOf` makes a URL of a blob, and revokes it with the report. Raises
// SessionChanged.
export async function imagePart(image, drafts, urlOf) {
  const study = await studyOf(image);
  try {
    const review = await reviewOf(image.result, study, drafts);
    return await sectionOf(image, study, review, urlOf);
  } finally {
    study?.release();
  }
}

// Return terms with their values, for a <dl>.
export function pairs(entries) {
  return entries.map(([key, value]) => {
    const pair = document.createElement("div");
    pair.append(text("dt", message(key)), text("dd", value));
    return pair;
  });
}

// Return the study of an image, or null where the browser cannot show it as the service saw it.
async function studyOf({ result, blob, name, isShowable }) {
  if (!isShowable) return null;
  try {
    return await Study.of(result.answer, blob, { name, time: result.time });
  } catch (error) {
    console.warn(error);
    return null;
  }
}

async function sectionOf({ result, name }, study, review, urlOf) {
  const { answer, count } = result;
  const { draft } = review;
  const section = copyOf("report-image").firstElementChild;
  const part = (selector) => section.querySelector(selector);
  part("h2 bdi").textContent = name;
  part(".count").textContent = message("report.found.model", { headline: result.headline });
  part(".said-count").textContent = draft === null ? "" : summaryOf(draft, answer.detections.map(({ id }) => id));
  part(".consequence").hidden = !result.isUngradable;
  if (result.isUngradable) {
    part(".reasons").append(...reasonsOf(answer.quality).map((reason) => text("li", reason)));
    part(".consequence").textContent = consequenceOf(result);
  }
  const { picture, legend } = study === null ? { picture: result.picture, legend: [] } : await drawn(study, draft);
  part("figure").hidden = picture === null;
  part(".without-picture").hidden = picture !== null;
  if (picture !== null) Object.assign(part("img"), { src: urlOf(picture), alt: message("result.drawn", { name }) });
  part(".report-legend").append(...legend.map((line) => text("li", line)));
  if (count > 0 || draft?.missed?.length) {
    part(".findings-table").append(reportTable(answer, name, draft), text("p", scaleWords(answer), "scale"));
  }
  part(".report-review").append(...reviewLines(review, answer));
  part(".identity").append(...pairs(identity(result)));
  return section;
}

// Return what it means that an image is not gradable; of a model that marked no lesion this is said, too.
function consequenceOf({ answer, count, isWithheld }) {
  const none = count === 0 && !isWithheld ? [message("report.none")] : [];
  return [...none, consequence(answer.quality)].join(" ");
}

// Return the picture of a study for print, with all of its lesions and what a draft says of them, and what
// the signs in it mean.
async function drawn(study, draft) {
  const annotations = new Annotations(study, draft?.annotations);
  const picture = await pictureOf(study, study.lesions, annotations, DEFAULT_STYLE, { maxSide: PICTURE_SIDE, paper: PAPER });
  return { picture, legend: legendOf(annotations.over(study.lesions), annotations.isSaved) };
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
