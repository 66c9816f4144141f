import { classNameOf } from "./class_names.js";
import { message } from "./messages.js";
import { classesFound } from "./viewer/severity.js";

const MOST_NAMED = 5; // classes in the headline

// The service's answer on one image. Raises where it is not one.
export class Result {
  // `body` is the answer as it came, `time` when it came.
  constructor(body, time) {
    this.body = body;
    this.answer = JSON.parse(body);
    this.time = time;
    const { detections, quality, model, request_id: id } = this.answer;
    if (typeof id !== "string") throw new TypeError("The answer has no request id.");
    this.requestId = id;
    this.count = detections.length;
    this.classes = classesFound(this.answer);
    this.isOfDemo = isDemo(model.name);
    this.isWithheld = quality?.withheld ?? false;
    this.isUngradable = (quality?.reasons.length ?? 0) > 0;
  }

  // The picture that the service drew, as a JPEG; null where it was not asked for.
  get picture() {
    if (!this.answer.visualization) return null;
    const letters = atob(this.answer.visualization);
    const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
    return new Blob([bytes], { type: "image/jpeg" });
  }

  // What was found, the most severe class first. Of an image that is not gradable nothing is said alone.
  get headline() {
    if (this.isWithheld) return message("result.withheld");
    if (this.count === 0 && this.isUngradable) return message("result.unreliable");
    const found = countWords("result.found", this.classes, this.answer.model);
    return this.isUngradable ? message("result.unreliable.found", { found }) : found;
  }
}

// Return by the text of `key` how many lesions of these classes, each { label, count }, there are.
export function countWords(key, classes, model) {
  if (classes.length === 0) return message("result.none");
  const count = classes.reduce((sum, each) => sum + each.count, 0);
  const named = classes.slice(0, MOST_NAMED).map((each) => {
    const name = classNameOf(model, each.label);
    return each.count === 1 ? name : message("result.class", { count: each.count, label: name });
  });
  return message(key, { count, classes: [...named, ...(classes.length > MOST_NAMED ? ["…"] : [])].join(", ") });
}

export function isDemo(modelName) {
  return /demo/i.test(modelName);
}
