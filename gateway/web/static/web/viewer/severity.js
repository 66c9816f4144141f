import { colourOf } from "./colours.js";

// Class ids are in the order of severity, the least severe first, as their colours are.

// Return how many classes the model of an answer has.
export function numberOfClasses({ metrics, detections }) {
  const ids = detections.map((detection) => detection.class_id + 1);
  return Math.max(Object.keys(metrics.class_distribution).length, ...ids);
}

// Return the lesions with the most severe first; those of a class stay in their order, by falling score.
// `classIdOf` returns the id of a lesion's class.
export function bySeverity(lesions, classIdOf = ({ classId }) => classId) {
  return lesions.toSorted((a, b) => classIdOf(b) - classIdOf(a));
}

// Return the id of a class of an answer's model, by its label; -1 of a class that the model does not have.
export function classIdOfLabel({ metrics, detections }, label) {
  const detection = detections.find((each) => each.label === label);
  return detection?.class_id ?? Object.keys(metrics.class_distribution).indexOf(label);
}

// Return each class of which an answer has lesions, with their number and colour, the most severe first.
export function classesFound(answer) {
  const classes = new Map();
  for (const { class_id: classId, label } of answer.detections) {
    const colour = colourOf(classId, numberOfClasses(answer));
    const count = (classes.get(label)?.count ?? 0) + 1;
    classes.set(label, { label, classId, count, colour });
  }
  return bySeverity([...classes.values()]);
}
