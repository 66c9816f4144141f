import { text } from "./elements.js";

const isPublicDemo = "demoKey" in document.body.dataset;

// What a clinician can do about each answer; the service's own words follow.
const ADVICE = {
  401: isPublicDemo
    ? "The demo was restarted. Load the page again."
    : "Check that all of the key was copied; it may have expired or been revoked. Or sign in.",
  403: "Load the page again. If that does not help, ask your administrator for the right to do this.",
  413: "Export it smaller.",
  415: "Save the picture as JPEG or PNG.",
  422: "Copy or export it again from its source.",
  429: "Wait a minute and try again.",
  502: "Try again, and tell your administrator if it goes on.",
  503: "Wait a few seconds and try again.",
  504: "Wait a few seconds and try again.",
};
// These would meet each further image too.
const GENERAL = new Set([401, 403, 429]);

// The service's refusal, with its problem details (RFC 9457).
export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.title);
    this.status = status;
    this.problem = problem;
  }

  // Return the refusal that an answer is. What stands between may answer without problem details.
  static of(status, body) {
    const unknown = { title: `The service answered with status ${status}`, detail: "" };
    try {
      const problem = JSON.parse(body);
      return new Refusal(status, problem?.title ? problem : unknown);
    } catch {
      return new Refusal(status, unknown);
    }
  }

  get isGeneral() {
    return GENERAL.has(this.status);
  }
}

export class Unreachable extends Error {}
export class UnreadableFile extends Error {}

// Return what a person is told about the error, as nodes.
export function explain(error) {
  if (error instanceof Refusal) {
    const { title, detail, request_id: id } = error.problem;
    const lines = [text("strong", title), text("p", ADVICE[error.status] ?? ""), text("p", detail ?? "")];
    return id ? [...lines, text("p", `Request ${id}`, "hint")] : lines;
  }
  if (error instanceof UnreadableFile) {
    return [text("p", "The file cannot be read: it was changed or removed since. Choose it again.")];
  }
  if (error instanceof Unreachable) {
    return [text("p", "No answer came back. Check the connection and try again.")];
  }
  return [text("p", "The answer cannot be shown. Tell your operator.")];
}
