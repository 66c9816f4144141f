import { colourOf, contrastOf } from "./colours.js";
import { Levels } from "./levels.js";
import { Mask } from "./mask.js";
import { measurementsOf } from "./measure.js";
import { Outline } from "./outline.js";
import { bySeverity, numberOfClasses } from "./severity.js";
import { uprightBitmap } from "./upright.js";

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
      const lesions = answer.detections.map((detection) => lesionOf(detection, width, height, count));
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

  // Return each class of the model with the number of its lesions, and its id where it has any.
  get classes() {
    return Object.entries(this.answer.metrics.class_distribution).map(([label, count]) => {
      const lesion = this.lesions.find((each) => each.label === label);
      return { label, count, classId: lesion?.classId ?? null, colour: lesion?.colour ?? null };
    });
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
  const [colour, contrast] = [colourOf, contrastOf].map((of) => of(classId, classCount));
  return { ...lesion, hasPixels, colour, contrast, measurements: measurementsOf(lesion) };
}
