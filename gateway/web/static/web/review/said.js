import { classNameOf } from "../class_names.js";
import { message } from "../messages.js";
import { reasonsOf } from "../quality.js";
import { isUnnamed } from "./draft.js";
import { lettered } from "./missed.js";

// What people said about an answer, in words: the same in the report, and of earlier reviews. The report
// of the service (gateway/reviews/report) has the same words.

// Return who is behind `user:<name>` or `key:<id>`.
export function authorOf(by) {
  const name = by.slice(by.indexOf(":") + 1);
  return by.startsWith("key:") ? message("said.key", { id: name }) : name;
}

// Return a verdict of a draft; null stands for none. `model` has the names of its classes.
export function verdictWords(verdict, model) {
  if (verdict === null) return message("said.nothing");
  const words = isUnnamed(verdict)
    ? message("said.unnamed")
    : message(`said.${verdict.verdict}`, { label: classNameOf(model, verdict.newLabel) });
  return verdict.outline === null ? words : message("said.corrected", { verdict: words });
}

// Return which lesions the model missed; null stands for that nothing was said of them.
export function missedWords(missed, model) {
  if (missed === null) return message("said.missedUnsaid");
  const names = lettered(missed).map(({ letter, label, count }) => {
    const name = message("review.missed", { label: classNameOf(model, label), count });
    return letter === null ? name : `${letter} ${name}`;
  });
  return message("said.missed", { count: names.length, lesions: names.join(", ") });
}

// Return that the image cannot be judged, and why; "" where it can.
export function ungradableWords(reason) {
  if (reason === "") return "";
  const reasons = reason === "other" ? [] : reasonsOf({ reasons: [reason] });
  return [message("said.ungradable"), ...reasons].join(" ");
}

// Return a comment as one; "" where there is none.
export function commentWords(comment) {
  return comment.trim() === "" ? "" : message("said.comment", { comment: comment.trim() });
}
