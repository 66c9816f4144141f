import { idOf, inOrder, lettered } from "./missed.js";
import { segmentationOfModel } from "./model_outline.js";

// What a person says about one answer, from what the service has of them so far. A verdict is
// { verdict, newLabel, outline }, of which the outline is null where the model's own holds, and the label of
// another class until it is named, before which nothing is saved. Dispatches "change" after each change.
export class Draft extends EventTarget {
  comment = "";
  ungradable = ""; // the reason, or "" where the image can be judged
  // Each { label, count, box, outline }, of which those that are drawn here have an outline, in the order
  // of their letters; null where the person has not said whether any was missed, which is not "none".
  missed = null;
  isChanged = false;
  isDrawing = false; // whether an outline is open that is no part of this yet
  openOutline = null; // what the editor goes on from with that outline, while another image is shown
  drawnLabel = ""; // the class of the missed lesion whose outline is open
  #verdicts = new Map();
  #own; // the model's outline of each lesion, as it is sent

  // `view` is the service's answer on the feedback of a request, `study` that of its image.
  constructor(view, study) {
    super();
    this.view = view;
    this.#own = new Map(study.lesions.map((lesion) => [lesion.id, segmentationOfModel(lesion)]));
    if (view.mine !== null) this.#put(view.mine);
  }

  // Say what was said about an answer with the same lesions, over what is said here.
  takeOver(content) {
    const here = new Set((this.missed ?? []).map(idOf));
    const others = (content.missed ?? []).filter((lesion) => !here.has(idOf(lesion)));
    const isSaid = this.missed !== null || content.missed !== null;
    this.#put({ ...content, missed: isSaid ? [...(this.missed ?? []), ...others] : null });
    this.#changed();
  }

  // Return the verdict on a lesion, or null. What is no lesion has no outline; that which was corrected before
  // is there again with another verdict.
  verdictOf(id) {
    const verdict = this.#verdicts.get(id) ?? null;
    return verdict?.verdict === "reject" ? { ...verdict, outline: null } : verdict;
  }

  get judged() {
    return this.#verdicts.size;
  }

  // The ids of the lesions that are of another class which is not named yet.
  get unnamed() {
    return [...this.#verdicts].filter(([, verdict]) => isUnnamed(verdict)).map(([id]) => id);
  }

  judge(id, verdict, newLabel = null) {
    const outline = this.#verdicts.get(id)?.outline ?? null;
    this.#verdicts.set(id, { verdict, newLabel, outline });
    this.#changed();
  }

  get isEmpty() {
    return this.judged === 0 && this.missed === null && this.ungradable === "" && this.comment.trim() === "";
  }

  // Accept the lesions with these ids that have no verdict.
  acceptRest(ids) {
    const rest = ids.filter((id) => !this.#verdicts.has(id));
    for (const id of rest) this.#verdicts.set(id, { verdict: "accept", newLabel: null, outline: null });
    this.#changed();
  }

  // Keep a corrected outline, COCO's segmentation lists; null for the model's own again. A lesion with
  // an outline is one.
  correct(id, outline) {
    const before = this.verdictOf(id);
    const verdict = before === null || before.verdict === "reject" ? "accept" : before.verdict;
    this.#verdicts.set(id, { verdict, newLabel: before?.newLabel ?? null, outline });
    this.#changed();
  }

  // Whether it is saved that the person has looked for missed lesions, which is never taken back.
  get isMissedSaid() {
    return (this.view.mine?.missed ?? null) !== null;
  }

  // Add a missed lesion with this outline, and return its id.
  addMissed(label, outline) {
    const lesion = { label, count: 1, box: null, outline };
    this.missed = inOrder([...(this.missed ?? []), lesion]);
    this.#changed();
    return idOf(lesion);
  }

  // Give a missed lesion another class, and return its id from then on.
  relabelMissed(index, label) {
    const lesion = { ...this.missed[index], label };
    this.missed = inOrder(this.missed.with(index, lesion));
    this.#changed();
    return idOf(lesion);
  }

  removeMissed(index) {
    this.missed = this.missed.toSpliced(index, 1);
    this.#changed();
  }

  say(field, words) {
    this[field] = words;
    this.#changed();
  }

  // What is drawn in the picture, in the form of the viewer's `Annotations`.
  get annotations() {
    const verdicts = [...this.#verdicts.keys()].map((id) => ({ id, ...this.verdictOf(id) }));
    const missed = lettered(this.missed ?? []).filter(({ letter }) => letter !== null);
    return { verdicts, missed, isSaved: !this.isChanged };
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

  // Say what `content` says, in the shape of the service's body; what it leaves open stays.
  #put({ lesions, missed, ungradable, comment }) {
    for (const { id, verdict, new_label: newLabel, outline } of lesions) {
      this.#verdicts.set(id, { verdict, newLabel, outline: this.#isOwn(id, outline) ? null : outline });
    }
    this.missed = missed === null ? this.missed : inOrder(missed);
    this.ungradable = ungradable?.reason ?? this.ungradable;
    this.comment = comment ?? this.comment;
  }

  #isOwn(id, outline) {
    return JSON.stringify(outline) === JSON.stringify(this.#own.get(id));
  }

  #changed() {
    this.isChanged = true;
    this.dispatchEvent(new Event("change"));
  }

  #said(lesion) {
    const { verdict, newLabel, outline } = this.verdictOf(lesion.id);
    const said = { id: lesion.id, label: lesion.label, verdict, new_label: newLabel };
    return verdict === "reject" ? said : { ...said, outline: outline ?? this.#own.get(lesion.id) };
  }
}

// Return whether a verdict is of another class that is not named yet.
export function isUnnamed({ verdict, newLabel }) {
  return verdict === "relabel" && newLabel === null;
}
