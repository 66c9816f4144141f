import { message } from "./messages.js";

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

  get headline() {
    if (this.isWithheld) return message("result.withheld");
    return this.count === 0 ? message("result.none") : message("result.found", { count: this.count });
  }
}

export function isDemo(modelName) {
  return /demo/i.test(modelName);
}
