import { text } from "../elements.js";
import { clock } from "../files.js";
import { message } from "../messages.js";
import { user } from "../session.js";
import { authorOf, commentWords, missedWords, ungradableWords } from "./said.js";

const KINDS = ["accept", "reject", "relabel", "unjudged"];

// Return what the report says of a review beside its verdicts, a paragraph for each: whose it is, whether
// it is saved, and what is not said. `draft` is null where nothing was said; The answer is that on the image.
export function reviewLines(draft, { model, detections }) {
  if (draft === null) return [text("p", message("report.unreviewed"))];
  const { missed, ungradable, comment, judged, isChanged } = draft;
  const count = detections.length;
  const lines = [
    ungradableWords(ungradable),
    judged < count ? message("report.unjudged", { count: count - judged, total: count }) : "",
    missed?.length ? "" : missedWords(missed, model), // the table has them
    commentWords(comment),
  ];
  const saved = document.createElement("p");
  saved.append(text(isChanged ? "strong" : "span", savedWords(draft)));
  return [saved, ...lines.filter((line) => line !== "").map((line) => text("p", line))];
}

// Return in one line what a draft says of the lesions with these ids, and of missed ones.
export function summaryOf(draft, ids) {
  if (draft.ungradable !== "") return message("report.found.clinician", { verdicts: ungradableWords(draft.ungradable) });
  const verdicts = ids.map((id) => draft.verdictOf(id)?.verdict ?? "unjudged");
  const missed = (draft.missed ?? []).reduce((sum, { count }) => sum + count, 0);
  const counts = KINDS.map((kind) => [kind, verdicts.filter((verdict) => verdict === kind).length]);
  const words = [...counts, ["missed", missed]]
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => message(`report.count.${kind}`, { count }));
  return words.length === 0 ? "" : message("report.found.clinician", { verdicts: words.join(", ") });
}

function savedWords({ isChanged, view }) {
  if (view.version === 0) return message("report.unsaved");
  const isOwn = ({ by }) => (user === "" ? by.startsWith("key:") : by === `user:${user}`);
  const { by, at } = view.versions.findLast((each) => each.version === view.version && isOwn(each));
  const values = { by: authorOf(by), time: clock(new Date(at)), version: view.version };
  return message(isChanged ? "report.changed" : "report.saved", values);
}
