import { Refusal, Unreachable } from "../problem.js";
import { demoKey } from "../session.js";
import { Draft } from "./draft.js";
import { contentOf } from "./earlier.js";
import { readFeedback, readImageReviews } from "./feedback.js";
import { differenceOf } from "./same_answer.js";

const WITHIN_MS = 15_000; // what waits for longer is told without the reviews
const NONE = { draft: null, earlier: null, isUnread: false };

// Return what people said of a result, { draft, earlier, isUnread }, as the page has it, and from the
// service what the page has not asked for. `draft` is the person's own review, or null where it says
// nothing. In its place stands the latest other review of the image, `earlier` with { review, content,
// difference }: its draft is null where it was of other lesions. With `isUnread` the service did not tell.
// `study` is null of an image that this browser does not show. Raises SessionChanged.
export async function reviewOf(result, study, drafts) {
  if (demoKey !== undefined) return NONE; // whose visitors review nothing
  const late = new Promise((_, reject) => setTimeout(() => reject(new Unreachable()), WITHIN_MS));
  try {
    return await Promise.race([read(result, study, drafts), late]);
  } catch (error) {
    if (!(error instanceof Refusal || error instanceof Unreachable)) throw error;
    return { ...NONE, isUnread: true };
  }
}

async function read(result, study, drafts) {
  const own = study === null ? null : await drafts.of(result, study);
  if (own !== null && !own.isEmpty) return { ...NONE, draft: own };
  const earlier = await latestOther(result, study);
  if (earlier === null) return NONE;
  const isSame = study !== null && earlier.difference === null;
  const draft = isSame ? new Draft({ mine: earlier.content, version: 0, versions: [] }, study) : null;
  return { ...NONE, draft, earlier };
}

async function latestOther({ answer, requestId }, study) {
  if (!answer.image.sha256) return null;
  const { reviews } = await readImageReviews(answer.image.sha256, null);
  const review = reviews.find(({ request_id: id, mine }) => id !== requestId || !mine);
  if (review === undefined) return null;
  const content = contentOf(await readFeedback(review.request_id), review);
  return { review, content, difference: study === null ? null : differenceOf(review, content, study) };
}
