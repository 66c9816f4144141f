import { editable, segmentationOf } from "../viewer/segmentation.js";

// Return the model's own outline of a lesion of a study as COCO's segmentation lists, as it is sent with a
// verdict; null of a lesion that has only a box.
export function segmentationOfModel(lesion) {
  return lesion.hasPixels ? segmentationOf(editable(lesion.outline, lesion.box).loops) : null;
}
