import { percent } from "../percent.js";
import { verdictOn, words } from "./lesion_list.js";
import { message } from "./messages.js";

// Return what is said beside a study, by the selector of its line; "" where a line says nothing.
export function notesOf(study) {
  return {
    ".viewer-count": study.isWithheld ? "" : headline(study),
    ".viewer-caution": caution(study),
    ".viewer-none": none(study),
    ".viewer-below": belowThreshold(study),
    ".viewer-order": study.lesions.some(({ classId }) => classId !== study.lesions[0].classId) ? message("order") : "",
    ".viewer-score-note": study.lesions.length > 0 ? message("score") : "",
  };
}

function headline(study) {
  const { below_threshold: below } = study.answer;
  if (study.lesions.length === 0 && below > 0) return message("found.above");
  if (study.lesions.length === 0 && study.isUngradable) return message("unreliable");
  return message("found", { count: study.lesions.length });
}

// Return what no lesion means, or "" where there are some.
function none(study) {
  if (study.lesions.length > 0 || study.isWithheld) return "";
  if (study.isUngradable) return message("none.unreliable");
  return study.lowestScore > 0 ? message("none.lowest", { threshold: percent(study.lowestScore) }) : "";
}

// Return what must be said of the image itself, or "".
function caution(study) {
  if (study.isWithheld) return message("withheld");
  return study.isUngradable ? message("ungradable") : "";
}

// Return how many lesions the answer itself leaves out, or "".
function belowThreshold({ answer, isWithheld }) {
  const { options, below_threshold: count } = answer;
  if (isWithheld || options.score_threshold === null || count === 0) return "";
  return message("below", { count, threshold: percent(options.score_threshold) });
}

// Return what is said when a lesion is selected; `total` is that of the model's lesions.
export function told(lesion, total, measuring) {
  if (lesion.outline === null) return missed(lesion);
  const measurements = measuring.sentence(lesion);
  return `${message("selected", { ...words(lesion), total, measurements })} ${sentence(verdictOn(lesion))}`.trim();
}

// Return the picture in words: which lesions it shows, and what is hidden.
export function described(study, visibility, annotations, isDrawn) {
  if (study.isWithheld) return message("picture", { name: study.name, lesions: message("withheld") });
  const shown = isDrawn ? visibility.shown : [];
  const count = message("shown", { count: shown.length });
  const each = shown.flatMap((lesion) => [message("lesion", words(lesion)), sentence(verdictOn(annotations.of(lesion)))]);
  const drawn = isDrawn ? annotations.missed.map(missed) : [];
  const rest = [
    isDrawn ? "" : message("off"),
    visibility.hidden > 0 ? visibility.sentence : "",
    belowThreshold(study),
    study.isUngradable ? message("ungradable") : "",
  ];
  const sentences = [count, ...each, ...drawn, ...rest].filter((sentence) => sentence !== "");
  return message("picture", { name: study.name, lesions: sentences.join(" ") });
}

function missed({ number, name }) {
  return message("missed", { number, label: name });
}

function sentence(words) {
  return words === "" ? "" : `${words}.`;
}
