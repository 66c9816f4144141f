const LETTERS = 26;

// Return missed lesions in the order of their letters: from the top of the image to the bottom, and last
// those without a place. It follows from the lesions alone, so that a letter stays when they are saved.
export function inOrder(missed) {
  return missed.toSorted((a, b) => {
    const [first, second] = [keyOf(a), keyOf(b)];
    const at = first.findIndex((value, index) => value !== second[index]);
    return at < 0 ? 0 : first[at] < second[at] ? -1 : 1;
  });
}

// Return missed lesions in that order as { id, letter, label, count, outline }; of one without a place
// the letter and the outline are null. An id is the same wherever the lesion is.
export function lettered(missed) {
  return missed.map((lesion, index) => {
    const outline = outlineOf(lesion);
    const letter = outline === null ? null : letterAt(index);
    return { id: idOf(lesion), letter, label: lesion.label, count: lesion.count, outline };
  });
}

// Return the letter at an index: A to Z, then AA, AB and so on.
function letterAt(index) {
  const before = index < LETTERS ? "" : letterAt(Math.floor(index / LETTERS) - 1);
  return before + String.fromCharCode("A".charCodeAt(0) + (index % LETTERS));
}

function keyOf(lesion) {
  const points = outlineOf(lesion)?.flat() ?? [Infinity, Infinity];
  const least = (axis) => points.reduce((min, value, at) => (at % 2 === axis ? Math.min(min, value) : min), Infinity);
  return [least(1), least(0), idOf(lesion)];
}

function idOf({ label, count, box, outline }) {
  return JSON.stringify([label, count, box, outline]);
}

// Return the outline as COCO's segmentation lists, that of the box where only this is known, or null.
function outlineOf({ box, outline }) {
  if (outline !== null || box === null) return outline;
  const [x1, y1, x2, y2] = box;
  return [[x1, y1, x2, y1, x2, y2, x1, y2]];
}
