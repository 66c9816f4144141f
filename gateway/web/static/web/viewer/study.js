import { classNameOf } from "../class_names.js";
import { colourOf, contrastOf } from "./colours.js";
import { Levels } from "./levels.js";
import { Mask } from "./mask.js";
import { measurementsOf } from "./measure.js";
import { Outline } from "./outline.js";
import { bySeverity, classIdOfLabel, numberOfClasses } from "./severity.js";
import { uprightBitmap } from "./upright.js";

const NO_CLASS = { colour: "rgb(255 255 255)", contrast: "rgb(0 0 0)" };

// An analysed image: its picture, and the lesions of the answer, all in upright source pixels. The most
// severe lesions come first; their numbers are by falling score, as in the answer.
export class Study {
  constructor(answer, levels, lesions, { name, time }) {
    Object.assign(this, { answer, levels, lesions: bySeverity(lesions), name, time });
    this.width = levels.width;
    this.height = levels.height;
  }

  // Return the study of an answer and the bytes that were sent for it. Raises where the browser cannot
  // show the image, or not as the service saw it.
  static async of(answer, blob, { name, time }) {
    const levels = await Levels.of(await uprightBitmap(blob, answer.image));
    try {
      const { width, height } = answer.image;
      if (levels.width !== width || levels.height !== height) {
        throw new Error("The browser shows the image in another size than the service.");
      }
      const count = numberOfClasses(answer);
      const lesions = answer.detections.map((detection) => ({
        ...lesionOf(detection, width, height, count),
        name: classNameOf(answer.model, detection.label),
      }));
      return new Study(answer, levels, lesions, { name, time });
    } catch (error) {
      levels.release();
      throw error;
    }
  }

  get isWithheld() {
    return this.answer.quality?.withheld ?? false;
  }

  get isUngradable() {
    return (this.answer.quality?.reasons.length ?? 0) > 0;
  }

  // Return the lowest score that the answer can hold: the asked threshold, or the model's own.
  get lowestScore() {
    return this.answer.options.score_threshold ?? this.answer.model.score_threshold ?? 0;
  }

  // Return each class of the model with the number of its lesions and its colours, in the order of the ids.
  get classes() {
    const entries = Object.entries(this.answer.metrics.class_distribution);
    return entries.map(([label, count]) => {
      const classId = classIdOfLabel(this.answer, label);
      return { label, name: this.nameOf(label), count, ...coloursOf(classId, numberOfClasses(this.answer)) };
    });
  }

  // Return what a class is called on the page.
  nameOf(label) {
    return classNameOf(this.answer.model, label);
  }

  // Return the colours of a class, by its label; white of one that the model does not have.
  coloursOf(label) {
    const { colour, contrast } = this.classes.find((each) => each.label === label) ?? NO_CLASS;
    return { colour, contrast };
  }

  release() {
    this.levels.release();
  }
}

function lesionOf(detection, width, height, classCount) {
  const { id, label, class_id: classId, score, box } = detection;
  const mask = detection.mask === null ? null : Mask.of(detection.mask, width, height);
  const hasPixels = mask !== null && !mask.isEmpty;
  const outline = hasPixels ? Outline.of(mask) : Outline.ofBox(box);
  const area = detection.mask_area ?? detection.box_area;
  const lesion = { id, number: id + 1, label, classId, score, box, area, mask, outline };
  // Until a reviewer judges it, nothing is drawn over it.
  const unjudged = { newLabel: null, newName: null, drawn: null, isRejected: false };
  return { ...lesion, ...unjudged, hasPixels, ...coloursOf(classId, classCount), measurements: measurementsOf(lesion) };
}

function coloursOf(classId, classCount) {
  return { colour: colourOf(classId, classCount), contrast: contrastOf(classId, classCount) };
}
