import { boxOf } from "../viewer/box.js";

const LEAST_OVERLAP = 0.5; // of two boxes, as a share of both together

// Return why the lesions of an earlier answer cannot be taken for those of a study ("model", "settings"
// or "lesions"), or null where they are the same. `review` says of which answer it is, and `content`
// what was said, with what is known of each lesion: its class, and its outline unless it is none.
export function differenceOf(review, content, study) {
  const { model, metrics } = study.answer;
  if (review.bundle_sha256 !== model.bundle_sha256) return "model";
  const isSetAlike =
    review.model_engine === model.engine &&
    review.model_precision === model.precision &&
    review.score_threshold === study.lowestScore;
  if (!isSetAlike) return "settings";
  if (!isSameCount(review.class_counts, metrics.class_distribution)) return "lesions";
  return content.lesions.every((said) => isSameLesion(said, study)) ? null : "lesions";
}

function isSameCount(first, second) {
  const labels = new Set([...Object.keys(first), ...Object.keys(second)]);
  return [...labels].every((label) => (first[label] ?? 0) === (second[label] ?? 0));
}

function isSameLesion({ id, label, outline }, study) {
  const lesion = study.lesions.find((each) => each.id === id);
  if (lesion?.label !== label) return false;
  return outline === null || overlap(boxOf(outline), lesion.box) >= LEAST_OVERLAP;
}

// Return the intersection of two boxes, XYXY, over their union.
function overlap(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const both = Math.max(0, width) * Math.max(0, height);
  const areaOf = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);
  return both / (areaOf(a) + areaOf(b) - both);
}
