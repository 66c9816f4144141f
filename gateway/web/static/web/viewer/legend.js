import { message } from "./messages.js";

// Return what the signs mean by which these lesions show what a reviewer said, a line for each sign that
// is there.
export function legendOf(lesions, isSaved) {
  const has = (isOf) => lesions.some(isOf);
  const relabelled = lesions.filter(({ newLabel }) => newLabel !== null).map(({ number }) => number);
  const lines = [
    has(({ outline }) => outline === null) && message("legend.missed"),
    has(({ outline, drawn }) => outline !== null && drawn !== null) && message("legend.corrected"),
    has(({ outline, hasPixels, isRejected }) => outline !== null && !hasPixels && !isRejected) && message("legend.box"),
    has(({ isRejected }) => isRejected) && message("legend.rejected"),
    relabelled.length > 0 && message("legend.relabelled", { numbers: relabelled.join(", ") }),
  ].filter(Boolean);
  return lines.length === 0 || isSaved ? lines : [...lines, message("legend.unsaved")];
}
