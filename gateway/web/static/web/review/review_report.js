import { text } from "../elements.js";
import { clock } from "../files.js";
import { message } from "../messages.js";
import { user } from "../session.js";
import { isUnnamed } from "./draft.js";
import { listOf, whoAndWhen } from "./earlier.js";
import { authorOf, commentWords, missedWords, ungradableWords } from "./said.js";

const KINDS = ["accept", "reject", "relabel", "unnamed", "unjudged"];

// Return what the report says of a review, of `reviewOf`, beside its verdicts, a paragraph for each: whose
// it is, whether it is saved, and what is not said. The answer is that on the image.
export function reviewLines({ draft, earlier, isUnread }, { model, detections }) {
  if (isUnread) return [strong(message("report.unread"))];
  if (draft === null) return earlier === null ? [text("p", message("report.unreviewed"))] : otherLines(earlier, model);
  const { missed, ungradable, comment, judged } = draft;
  const count = detections.length;
  const lines = [
    ungradableWords(ungradable),
    judged < count ? message("report.unjudged", { count: count - judged, total: count }) : "",
    missed?.length ? "" : missedWords(missed, model), // the table has them
    commentWords(comment),
  ];
  return [origin(draft, earlier), ...lines.filter((line) => line !== "").map((line) => text("p", line))];
}

// Return in one line what a draft says of the lesions with these ids, and of missed ones.
export function summaryOf(draft, ids) {
  if (draft.ungradable !== "") return message("report.found.clinician", { verdicts: ungradableWords(draft.ungradable) });
  const verdicts = ids.map((id) => kindOf(draft.verdictOf(id)));
  const missed = (draft.missed ?? []).reduce((sum, { count }) => sum + count, 0);
  const counts = KINDS.map((kind) => [kind, verdicts.filter((verdict) => verdict === kind).length]);
  const words = [...counts, ["missed", missed]]
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => message(`report.count.${kind}`, { count }));
  return words.length === 0 ? "" : message("report.found.clinician", { verdicts: words.join(", ") });
}

function kindOf(verdict) {
  if (verdict === null) return "unjudged";
  return isUnnamed(verdict) ? "unnamed" : verdict.verdict;
}

// Return what an earlier review says of an answer with other lesions.
function otherLines({ review, content, difference }, model) {
  const name = `${review.model_name} ${review.model_version}`;
  const lines = [
    text("p", message("report.unreviewed")),
    text("p", message("report.latest")),
    text("p", message("earlier.review", { ...whoAndWhen(review), model: name })),
    listOf(content, review, model, null),
  ];
  return difference === null ? lines : [...lines, text("p", message(`earlier.${difference}`))];
}

function origin(draft, earlier) {
  if (earlier !== null) return text("p", message("report.earlier", { ...whoAndWhen(earlier.review), version: earlier.review.version }));
  return draft.isChanged ? strong(savedWords(draft)) : text("p", savedWords(draft));
}

function savedWords({ isChanged, view }) {
  if (view.version === 0) return message("report.unsaved");
  const isOwn = ({ by }) => (user === "" ? by.startsWith("key:") : by === `user:${user}`);
  const { by, at } = view.versions.findLast((each) => each.version === view.version && isOwn(each));
  const values = { by: authorOf(by), time: clock(new Date(at)), version: view.version };
  return message(isChanged ? "report.changed" : "report.saved", values);
}

function strong(words) {
  const line = document.createElement("p");
  line.append(text("strong", words));
  return line;
}
