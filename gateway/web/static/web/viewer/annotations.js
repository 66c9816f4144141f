import { Outline } from "./outline.js";

const NOTHING = { verdicts: [], missed: [], isSaved: true };

// What a reviewer says about a study, as it is painted and told. `verdicts` are { id, verdict, newLabel,
// outline } of lesions of the study; `missed` are { id, letter, label, outline } of lesions that the
// model missed. An outline is COCO's segmentation lists, or null where the model's own holds.
export class Annotations {
  #lesions;

  constructor(study, { verdicts, missed, isSaved } = NOTHING) {
    const byId = new Map(verdicts.map((each) => [each.id, each]));
    const judged = (study?.lesions ?? []).filter(({ id }) => byId.has(id));
    this.#lesions = new Map(judged.map((lesion) => [lesion.id, judgedLesion(lesion, byId.get(lesion.id), study)]));
    this.missed = missed.map((lesion) => missedLesion(lesion, study));
    this.isSaved = isSaved;
  }

  // Return a lesion of the study as the reviewer sees it.
  of(lesion) {
    return this.#lesions.get(lesion.id) ?? lesion;
  }

  // Return these lesions of the study below the missed ones, for the picture: the uppermost first.
  over(lesions) {
    return [...this.missed, ...lesions.map((lesion) => this.of(lesion))];
  }

  // Return these lesions of the study and then the missed ones, for stepping through.
  after(lesions) {
    return [...lesions.map((lesion) => this.of(lesion)), ...this.missed];
  }
}

function judgedLesion(lesion, { verdict, newLabel, outline }, study) {
  const colours = newLabel === null ? {} : study.coloursOf(newLabel);
  const drawn = outline === null ? null : new Outline(outline);
  const newName = newLabel === null ? null : study.nameOf(newLabel);
  return { ...lesion, ...colours, newLabel, newName, drawn, isRejected: verdict === "reject" };
}

// A missed lesion has no score, no pixels and no measurements; its letter stands in for the number.
function missedLesion({ id, letter, label, outline }, study) {
  const drawn = new Outline(outline);
  const { box } = drawn;
  const area = (box[2] - box[0]) * (box[3] - box[1]);
  const model = { outline: null, newLabel: null, isRejected: false };
  return { id, number: letter, label, name: study.nameOf(label), box, area, drawn, ...model, ...study.coloursOf(label) };
}

// Return the lesion after (1) or before (-1) that with this id, in a circle, or null where there is none.
export function neighbourOf(lesions, id, way) {
  const now = lesions.findIndex((lesion) => lesion.id === id);
  const next = now < 0 && way < 0 ? lesions.length - 1 : (now + way + lesions.length) % lesions.length;
  return lesions[next] ?? null;
}
