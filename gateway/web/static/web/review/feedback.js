import { Refusal, Unreachable } from "../problem.js";
import { SessionChanged, authorise, user } from "../session.js";

// Return what the service has of a request's feedback. Raises SessionChanged, Refusal or Unreachable.
export function readFeedback(requestId) {
  return ask(requestId, { method: "GET" });
}

// Send what a person says, and return what the service has then. Raises as `readFeedback`.
export function sendFeedback(requestId, body) {
  return ask(requestId, { method: "POST", body: JSON.stringify(body) });
}

async function ask(requestId, { method, body }) {
  const headers = { ...(await authorise()), ...(body && { "Content-Type": "application/json" }) };
  const response = await fetch(`/records/${requestId}/feedback`, { method, body, headers, cache: "no-store" }).catch(() => {
    throw new Unreachable();
  });
  const answer = await response.text().catch(() => {
    throw new Unreachable();
  });
  if (response.status === 401 && user) throw new SessionChanged(null);
  if (!response.ok) throw Refusal.of(response.status, answer);
  return JSON.parse(answer);
}
