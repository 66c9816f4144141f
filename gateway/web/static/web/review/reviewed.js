import { message } from "../messages.js";
import { countWords } from "../result.js";
import { isUnnamed } from "./draft.js";
import { ungradableWords } from "./said.js";

// Return what a draft leaves of the lesions of an answer, in one line; "" where it says the same as the model.
// Lesions that are not judged, or whose other class is not named, are counted as the model has them.
export function reviewedWords(draft, answer) {
  const verdicts = answer.detections.map(({ id, label }) => ({ label, ...draft.verdictOf(id) }));
  const isOther = verdicts.some(({ verdict }) => verdict === "reject" || verdict === "relabel");
  const missed = draft.missed ?? [];
  if (!isOther && missed.length === 0 && draft.ungradable === "") return "";
  const found = draft.ungradable === "" ? remaining(verdicts, missed, answer) : ungradableWords(draft.ungradable);
  return message(draft.isChanged ? "reviewed.unsaved" : "reviewed.saved", { found });
}

function remaining(verdicts, missed, { model, metrics }) {
  const counts = new Map();
  const add = (label, count) => counts.set(label, (counts.get(label) ?? 0) + count);
  for (const { verdict, newLabel, label } of verdicts) if (verdict !== "reject") add(newLabel ?? label, 1);
  for (const { label, count } of missed) add(label, count);
  // The model's classes are in the order of severity, the least severe first.
  const order = Object.keys(metrics.class_distribution);
  const classes = [...counts].map(([label, count]) => ({ label, count }));
  const ordered = classes.toSorted((a, b) => order.indexOf(b.label) - order.indexOf(a.label));
  const found = countWords("reviewed.count", ordered, model);
  const unjudged = verdicts.filter(({ verdict }) => verdict === undefined).length;
  const unnamed = verdicts.filter((verdict) => isUnnamed(verdict)).length;
  const rest = [["unnamed", unnamed], ["unjudged", unjudged]].filter(([, count]) => count > 0);
  if (rest.length === 0) return found;
  return message("reviewed.part", { found, rest: rest.map(([kind, count]) => message(`report.count.${kind}`, { count })).join(", ") });
}
