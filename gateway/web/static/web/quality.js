// The reasons for which an image is not gradable, in a clinician's words.
const REASONS = {
  too_dark: "The image is too dark.",
  too_bright: "The image is too bright.",
  overexposed: "Parts of the image are overexposed.",
  out_of_focus: "The image is out of focus.",
  glare: "The image has too much glare.",
  low_contrast: "The image has too little contrast.",
  noisy: "The image is too grainy.",
  colour_cast: "The colours of the image are off.",
  dark_corners: "The corners of the image are too dark.",
  too_small: "The image has too few pixels.",
};

// Return a sentence for each reason; a later version of the service may give one that is not above.
export function reasonsOf({ reasons }) {
  return reasons.map((reason) => REASONS[reason] ?? `The image is not good enough (${reason.replaceAll("_", " ")}).`);
}

// Return what the reasons mean for the result, and what to do.
export function consequence({ withheld }) {
  return withheld
    ? "The service did not look for lesions. This is not a finding. Take the image again if you can."
    : "It differs from the images that the model was tested on, so the result may be wrong. Take it again if you can.";
}
