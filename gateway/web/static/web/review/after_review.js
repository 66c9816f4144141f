import { sizeOfOutline } from "../viewer/measure.js";
import { lettered } from "./missed.js";

// Return whether a draft says anything of which lesions there are; a comment alone does not.
export function judges({ judged, missed, ungradable }) {
  return judged > 0 || missed !== null || ungradable !== "";
}

// Return the lesions of an answer after a review, each { label, area }: those that were not rejected, of
// the reviewer's class and outline, and those that the model missed. Lesions that were not judged stay.
// An area is in pixels; null of a lesion that was counted without a place.
export function lesionsAfter(draft, detections) {
  const kept = detections.map((detection) => [detection, draft.verdictOf(detection.id)]);
  const missed = lettered(draft.missed ?? []).flatMap(({ label, count, outline }) =>
    Array.from({ length: count }, () => ({ label, area: areaOf(outline) })),
  );
  return [
    ...kept
      .filter(([, verdict]) => verdict?.verdict !== "reject")
      .map(([detection, verdict]) => ({
        label: verdict?.newLabel ?? detection.label,
        area: areaOf(verdict?.outline ?? null) ?? modelArea(detection),
      })),
    ...missed,
  ];
}

// Return the area of a lesion as the model has it, in pixels: that of its box where it has no mask.
export function modelArea({ mask_area: maskArea, box_area: boxArea }) {
  return maskArea ?? boxArea;
}

function areaOf(outline) {
  return outline === null ? null : Math.round(sizeOfOutline(outline).area);
}
