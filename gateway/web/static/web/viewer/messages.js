// Every text that the scripts of the viewer show. `{name}` stands for a value. A text with several
// forms is chosen by its value `count`, by the plural rules of the page's language.
const TEXTS = {
  "name": "Picture of {name}. Press the question mark for the keys.",
  "picture": "{name}: {lesions}",
  "original": "{name} without lesions",
  "shown": { zero: "no lesion is shown.", one: "1 lesion is shown.", other: "{count} lesions are shown." },
  "lesion": "Lesion {number}: {label}, score {score}.",
  "missed": "Missed lesion {number}: {label}, drawn in the review.",
  "verdict.reject": "Review: no lesion",
  "verdict.relabel": "Review: {label}",
  "verdict.outline": "Review: outline corrected",
  "verdict.both": "Review: {label}, outline corrected",
  "legend.missed": "Dashed, with a letter: missed by the model",
  "legend.corrected": "Dashed, with a number: corrected; thin: the model's",
  "legend.rejected": "Dotted: rejected",
  "legend.relabelled": "Another class: {numbers}",
  "legend.unsaved": "This review is not saved",

  "selected": "Lesion {number} of {total}, {label}, score {score}. {measurements}.",
  "deselected": "No lesion is selected.",

  "found": { zero: "No lesion found", one: "1 lesion", other: "{count} lesions" },
  "found.above": "No lesion at or above the threshold",
  "unreliable": "Result not reliable",
  "none.unreliable": "The model marked no lesion in this image, but that is not reliable.",
  "none.lowest": "The model marked no lesion with a score of {threshold} or more.",
  "score": "Score is the model’s own confidence, not the probability of disease.",
  "order": "The most severe class comes first. The numbers go by score.",
  "withheld": "Not analysed: the image is not good enough. The service did not look for lesions. This is not a finding.",
  "ungradable": "Check this image: it differs from the images that the model was tested on, so the result may be wrong.",
  "hidden": {
    zero: "All lesions are shown.",
    one: "1 of {total} lesions is hidden: {reason}.",
    other: "{count} of {total} lesions are hidden: {reason}.",
  },
  "hidden.score": "the filter leaves out scores below {threshold}",
  "hidden.class": "the filter leaves out {classes}",
  "hidden.both": "the filter leaves out {classes}, and scores below {threshold}",
  "below": {
    one: "1 more is below the threshold of {threshold} that was asked for with the image.",
    other: "{count} more are below the threshold of {threshold} that was asked for with the image.",
  },
  "off": "Lesions are not drawn.",
  "on": "Lesions are drawn.",
  "lowest": "The model reports no score below {threshold}.",
  "class": "{label} ({count})",

  "zoom": "{percent} %",
  "style.fill": "Lesions are filled.",
  "style.outline": "Lesions are outlined.",
  "original.on": "The original is shown beside it.",
  "original.off": "The original is no longer shown.",

  "share": "Share of the image",
  "sides": "Width × height",
  "size": "{area}, {diameter} across",
  "diameter": "Longest diameter",
  "unit.length": { one: "{value} pixel", other: "{value} pixels" },
  "unit.sides": "{width} × {height} pixels",
  "unit.mm.sides": "{width} × {height} mm",
  "unit.area": { one: "{value} pixel", other: "{value} pixels" },
  "unit.mm": "{value} mm",
  "unit.mm2": "{value} mm²",
  "measurements": "Area {area}, width {width}, height {height}, longest diameter {diameter}",
  "measurements.box": "Area {area}, width {width}, height {height}, of its box",

  "ruler.start": "Ruler: draw a line, or choose two points. With keys: the arrows move, Enter sets a point, Escape ends.",
  "ruler.first": "First point set.",
  "ruler.length": "The line is {length} long.",
  "ruler.end": "Ruler off.",
  "scale.set": "Scale set: the image is {width} mm wide.",
  "scale.is": "The image is {width} mm wide.",
  "scale.width": "The image is then {width} mm wide.",
  "scale.width.line": "The image is then {width} mm wide. Lengths are right to about {percent} %; a longer line is more exact.",
  "scale.extreme": "The image would be {width} mm wide. Images of the cervix are {narrowest} to {widest} mm wide: check the number.",
  "scale.draw": "Draw a line",
  "scale.redraw": "Draw another line",
  "scale.none": "No scale: measurements are in pixels.",
  "scale.wrong": "Type a number above 0.",
  "scale.line": "The line is {length} long.",
  "scale.noLine": "Draw a line over something whose length you know, such as a swab.",

  "edit.lesion": "Outline of lesion {number}",
  "edit.new": "Outline of a new lesion",
  "edit.help": "Drag a point, or choose one and then its new place. The small points between add one.",
  "edit.keys": "Keys: N and P choose a point, the arrows move it, A adds one after it, Delete removes it, Ctrl Z undoes, Enter ends, Escape cancels.",
  "draw.help": "Set points around the lesion. To finish the shape, choose the first point again.",
  "draw.keys": "Keys: the arrows move, Space sets a point, Backspace removes the last, Enter closes, Escape cancels.",
  "edit.holes": "Holes in this lesion are filled: an outline has none.",
  "edit.point": "Point {number} of {total}, at {x}, {y}.",
  "edit.few": "An outline needs three points.",
  "edit.crossing": "The outline crosses itself. Move a point.",
  "edit.flat": "The outline has no area.",
  "edit.closed": "The outline is closed. Change it, or choose Done.",
  "edit.open": "Finish this outline, or cancel it, before you save.",
  "edit.undone": "Undone.",
  "edit.done": "The outline is taken.",
  "edit.cancelled": "The outline is as before.",

  "export.hidden": { one: "1 of {total} lesions is hidden", other: "{count} of {total} lesions are hidden" },
};

const language = document.documentElement.lang || "en";
const plurals = new Intl.PluralRules(language);

// Return the text of this key with its values. Numbers are to be given as they are to be read.
export function message(key, values = {}) {
  const text = TEXTS[key];
  const form = typeof text === "string" ? text : formOf(text, values.count);
  return form.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// Return a number as it is read in the page's language, with at most so many decimals.
export function written(value, decimals = 0) {
  return value.toLocaleString(language, { maximumFractionDigits: decimals, minimumFractionDigits: decimals });
}

function formOf(forms, count) {
  if (count === 0 && forms.zero) return forms.zero;
  return forms[plurals.select(count)] ?? forms.other;
}
