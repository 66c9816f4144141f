import { classNameOf } from "../class_names.js";
import { text } from "../elements.js";
import { message } from "../messages.js";
import { reasonsOf } from "../quality.js";
import { user } from "../session.js";
import { lettered } from "./missed.js";

// Add a column to the table of a result's lesions: what a draft says about each.
export function addVerdicts(table, { answer }, draft) {
  const head = Object.assign(text("th", message("report.review"), "said"), { scope: "col" });
  table.tHead.rows[0].append(head);
  answer.detections.forEach(({ id }, index) => {
    table.tBodies[0].rows[index].append(text("td", verdictWords(draft.verdictOf(id), answer.model), "said"));
  });
}

// Return whose draft it is, whether it is saved, and what it says apart from its verdicts, a paragraph
// for each.
export function reviewLines({ answer }, draft) {
  const { isChanged, view, missed, ungradable, comment } = draft;
  const state = isChanged ? message("report.unsaved") : message("review.saved", { version: view.version });
  const reviewer = user === "" ? "" : message("report.reviewer", { user });
  return [reviewer, state, missedWords(missed, answer.model), ungradableWords(ungradable), comment.trim()]
    .filter((line) => line !== "")
    .map((line) => text("p", line));
}

function verdictWords(verdict, model) {
  if (verdict === null) return "–";
  const words = message(`report.${verdict.verdict}`, { label: classNameOf(model, verdict.newLabel) });
  return verdict.outline === null ? words : message("report.corrected", { verdict: words });
}

function missedWords(missed, model) {
  if (missed === null) return message("report.missedUnsaid");
  const names = lettered(missed).map(({ letter, label, count }) => {
    const name = message("review.missed", { label: classNameOf(model, label), count });
    return letter === null ? name : `${letter} ${name}`;
  });
  return message("report.missed", { count: names.length, lesions: names.join(", ") });
}

function ungradableWords(reason) {
  if (reason === "") return "";
  const reasons = reason === "other" ? [] : reasonsOf({ reasons: [reason] });
  return [message("report.ungradable"), ...reasons].join(" ");
}
