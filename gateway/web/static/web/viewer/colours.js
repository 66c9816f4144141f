// The colours of lesion classes, the same as in the picture that the service draws
// (pipeline/image/colours.py). Class ids are in the order of severity: from a bright yellow over blue
// to a deep violet, each darker than the one before, so that the order can be read in grey and with
// any colour vision. None of them is a colour of tissue.
const RAMP = [
  [255, 227, 77], // yellow
  [111, 208, 245], // sky blue
  [47, 128, 237], // azure
  [122, 22, 196], // violet
];

// Return the channels, 0 to 255, of the colour of a class; `numberOfClasses` is that of the model.
export function channelsOf(classId, numberOfClasses) {
  const share = numberOfClasses > 1 ? Math.min(classId / (numberOfClasses - 1), 1) : 1;
  const place = share * (RAMP.length - 1);
  const before = Math.min(Math.floor(place), RAMP.length - 2);
  return RAMP[before].map((value, channel) =>
    Math.floor(value + (RAMP[before + 1][channel] - value) * (place - before) + 0.5),
  );
}

export function colourOf(classId, numberOfClasses) {
  return `rgb(${channelsOf(classId, numberOfClasses).join(" ")})`;
}

// Return the colour of text on the colour of a class, and of the border that sets its lines off from
// tissue: dark beside bright colours, by their luma (BT.601).
export function contrastOf(classId, numberOfClasses) {
  const [red, green, blue] = channelsOf(classId, numberOfClasses);
  return 0.299 * red + 0.587 * green + 0.114 * blue > 110 ? "rgb(0 0 0)" : "rgb(255 255 255)";
}
