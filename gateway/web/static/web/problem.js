import { text } from "./elements.js";
import { language } from "./language.js";
import { isMessage, message } from "./messages.js";

const isPublicDemo = "demoKey" in document.body.dataset;
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
    const unknown = { title: message("problem.status", { status }) };
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
export class Stalled extends Error {}
export class UnreadableFile extends Error {}

// Return what a person is told about the error, as nodes.
export function explain(error) {
  if (error instanceof Refusal) {
    const { request_id: id } = error.problem;
    const lines = [title(error.problem), text("p", advice(error)), ...details(error.problem)];
    return id ? [...lines, text("p", message("problem.request", { id }), "hint")] : lines;
  }
  if (error instanceof UnreadableFile) return [text("p", message("problem.unreadable"))];
  if (error instanceof Stalled) return [text("p", message("problem.stalled"))];
  if (error instanceof Unreachable) {
    return [text("p", message(navigator.onLine ? "problem.unreachable" : "problem.offline"))];
  }
  return [text("p", message("problem.unclear"))];
}

// Return what the error is, by its code: the service itself speaks English, for programs.
function title(problem) {
  const key = `error.${problem.code}`;
  return isMessage(key) ? text("strong", message(key)) : asItCame("strong", problem.title, problem);
}

// Return what a clinician can do about an answer.
function advice({ status, problem: { code } }) {
  if (status === 401 && isPublicDemo) return message("advice.restarted");
  const key = [`advice.${code}`, `advice.${status}`].find(isMessage);
  return key === undefined ? "" : message(key);
}

// Return the details, where the reader speaks English or the title says nothing in their language.
function details(problem) {
  const isEnough = language !== "en" && isMessage(`error.${problem.code}`);
  return isEnough ? [] : [asItCame("p", problem.detail ?? "", problem)];
}

// Return words of a problem; one with a code is the service's.
function asItCame(tag, words, { code }) {
  const line = text(tag, words);
  if (code !== undefined) line.lang = "en";
  return line;
}
