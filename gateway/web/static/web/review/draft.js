import { editable, segmentationOf } from "../viewer/segmentation.js";

// What a person says about one answer, from what the service has of them so far. A verdict is
// { verdict, newLabel, outline }, of which the outline is null where the model's own holds.
export class Draft {
  comment = "";
  ungradable = ""; // the reason, or "" where the image can be judged
  // Each { label, count, box, outline }, of which those that are drawn here have an outline; null
  // where the person has not said whether any was missed, which is not "none".
  missed = null;
  isChanged = false;
  #verdicts = new Map();
  #own; // the model's outline of each lesion, as it is sent

  // `view` is the service's answer on the feedback of a request, `study` that of its image.
  constructor(view, study) {
    this.view = view;
    this.#own = new Map(study.lesions.map((lesion) => [lesion.id, ownOutline(lesion)]));
    const { mine } = view;
    if (mine === null) return;
    for (const { id, verdict, new_label: newLabel, outline } of mine.lesions) {
      const isOwn = JSON.stringify(outline) === JSON.stringify(this.#own.get(id));
      this.#verdicts.set(id, { verdict, newLabel, outline: isOwn ? null : outline });
    }
    this.missed = mine.missed && [...mine.missed];
    this.ungradable = mine.ungradable?.reason ?? "";
    this.comment = mine.comment ?? "";
  }

  verdictOf(id) {
    return this.#verdicts.get(id) ?? null;
  }

  get judged() {
    return this.#verdicts.size;
  }

  judge(id, verdict, newLabel = null) {
    const outline = verdict === "reject" ? null : (this.verdictOf(id)?.outline ?? null);
    this.#verdicts.set(id, { verdict, newLabel, outline });
    this.isChanged = true;
  }

  // Keep a corrected outline, COCO's segmentation lists. A lesion with an outline is one.
  correct(id, outline) {
    const before = this.verdictOf(id);
    const verdict = before === null || before.verdict === "reject" ? "accept" : before.verdict;
    this.#verdicts.set(id, { verdict, newLabel: before?.newLabel ?? null, outline });
    this.isChanged = true;
  }

  // Whether it is saved that the person has looked for missed lesions, which is never taken back.
  get isMissedSaid() {
    return (this.view.mine?.missed ?? null) !== null;
  }

  addMissed(label, outline) {
    this.missed ??= [];
    this.missed.push({ label, count: 1, box: null, outline });
    this.isChanged = true;
  }

  removeMissed(index) {
    this.missed.splice(index, 1);
    this.isChanged = true;
  }

  say(field, words) {
    this[field] = words;
    this.isChanged = true;
  }

  // Return the body for the service. With each lesion that is one goes its outline, so that an
  // export for training lacks none.
  body(study) {
    return {
      version: this.view.version,
      lesions: study.lesions.filter(({ id }) => this.#verdicts.has(id)).map((lesion) => this.#said(lesion)),
      missed: this.missed,
      ungradable: this.ungradable === "" ? null : { reason: this.ungradable },
      comment: this.comment.trim() === "" ? null : this.comment.trim(),
    };
  }

  #said(lesion) {
    const { verdict, newLabel, outline } = this.verdictOf(lesion.id);
    const said = { id: lesion.id, label: lesion.label, verdict, new_label: newLabel };
    return verdict === "reject" ? said : { ...said, outline: outline ?? this.#own.get(lesion.id) };
  }
}

// Return the model's own outline; null of a lesion that has only a box.
function ownOutline(lesion) {
  return lesion.hasPixels ? segmentationOf(editable(lesion.outline, lesion.box).loops) : null;
}
