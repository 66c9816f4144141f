import { text } from "./elements.js";
import { language } from "./language.js";
import { isMessage, message } from "./messages.js";

const isPublicDemo = "demoKey" in document.body.dataset;
// These would meet each further image too.
const GENERAL = new Set([401, 403, 429]);
// These are about the file, and would meet it each time.
const OF_FILE = new Set([413, 415, 422]);

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

// Return whether sending the same file again ends in the same error.
export function isFinal(error) {
  return error instanceof UnreadableFile || (error instanceof Refusal && OF_FILE.has(error.status));
}

// Return in a few words why an image was not analysed.
export function shortReason(error) {
  if (error instanceof Refusal) return titleOf(error);
  if (error instanceof UnreadableFile) return message("reason.unreadable");
  if (error instanceof Stalled) return message("reason.stalled");
  return message(error instanceof Unreachable ? "reason.unreachable" : "reason.unclear");
}

// Return what a person is told about the error, as nodes.
export function explain(error) {
  if (error instanceof Refusal) {
    const { request_id: id } = error.problem;
    const lines = [text("strong", titleOf(error)), text("p", advice(error)), ...details(error.problem)];
    return id ? [...lines, text("p", message("problem.request", { id }), "hint")] : lines;
  }
  if (error instanceof UnreadableFile) return [text("p", message("problem.unreadable"))];
  if (error instanceof Stalled) return [text("p", message("problem.stalled"))];
  if (error instanceof Unreachable) {
    return [text("p", message(navigator.onLine ? "problem.unreachable" : "problem.offline"))];
  }
  return [text("p", message("problem.unclear"))];
}

// Return what the error is, in the page's language: by its code, or else by its status. The title of a
// code that is not known here is the service's, in English.
function titleOf({ status, problem }) {
  const isForReader = language === "en" || problem.code === undefined;
  return translatedTitle(problem) ?? (isForReader ? problem.title : message("problem.status", { status }));
}

// Return the title by the problem's code: the service itself speaks English, for programs. Null where
// the code is unknown.
function translatedTitle({ code }) {
  const key = `error.${code}`;
  return isMessage(key) ? message(key) : null;
}

// Return what a clinician can do about an answer.
function advice({ status, problem: { code } }) {
  if (status === 401 && isPublicDemo) return message("advice.restarted");
  const key = [`advice.${code}`, `advice.${status}`].find(isMessage);
  return key === undefined ? "" : message(key);
}

// Return the service's own words where the reader speaks English, or the title says nothing else in their
// language.
function details(problem) {
  const isKnown = translatedTitle(problem) !== null;
  if (language !== "en" && isKnown) return [];
  const isTold = language === "en" || problem.code === undefined;
  const words = isTold ? [problem.detail] : [problem.title, problem.detail];
  const line = text("p", words.filter(Boolean).join(": "));
  if (problem.code !== undefined) line.lang = "en"; // one with a code is the service's
  return [line];
}
