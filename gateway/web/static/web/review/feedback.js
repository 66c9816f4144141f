import { Refusal, Unreachable } from "../problem.js";
import { SessionChanged, authorise, user } from "../session.js";

const REVIEWS_ON_A_PAGE = 10;

// Return what the service has of a request's feedback. Raises SessionChanged, Refusal or Unreachable.
export function readFeedback(requestId) {
  return ask(`${requestId}/feedback`, { method: "GET" });
}

// Send what a person says, and return what the service has then. Raises as `readFeedback`.
export function sendFeedback(requestId, body) {
  return ask(`${requestId}/feedback`, { method: "POST", body: JSON.stringify(body) });
}

// Return a page of who reviewed an image before, by its SHA-256; `before` is `next` of the page before, or
// null. Raises as `readFeedback`.
export function readImageReviews(sha256, before) {
  const query = new URLSearchParams({ image_sha256: sha256, limit: REVIEWS_ON_A_PAGE, ...(before && { before }) });
  return ask(`feedback?${query}`, { method: "GET" });
}

async function ask(path, { method, body }) {
  const headers = { ...(await authorise()), ...(body && { "Content-Type": "application/json" }) };
  const response = await fetch(`/records/${path}`, { method, body, headers, cache: "no-store" }).catch(() => {
    throw new Unreachable();
  });
  const answer = await response.text().catch(() => {
    throw new Unreachable();
  });
  if (response.status === 401 && user) throw new SessionChanged(null);
  if (!response.ok) throw Refusal.of(response.status, answer);
  return JSON.parse(answer);
}
