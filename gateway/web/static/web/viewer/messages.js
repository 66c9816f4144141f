import { messagesOf } from "../language.js";

// Every text that the scripts of the viewer show, marked for translation as those of the page.
const TEXTS = {
  "name": gettext("Picture of {name}. Press the question mark for the keys."),
  "picture": gettext("{name}: {lesions}"),
  "original": gettext("{name} without lesions"),
  "shown": (count) =>
    count === 0
      ? gettext("no lesion is shown.")
      : ngettext(
          "{count} lesion is shown.",
          "{count} lesions are shown.",
          count,
        ),
  "lesion": gettext("Lesion {number}: {label}, score {score}."),
  "missed": gettext("Missed lesion {number}: {label}, drawn in the review."),
  "verdict.reject": gettext("Review: no lesion"),
  "verdict.relabel": gettext("Review: {label}"),
  "verdict.outline": gettext("Review: outline corrected"),
  "verdict.both": gettext("Review: {label}, outline corrected"),
  "legend.missed": gettext("Dashed, with a letter: missed by the model"),
  "legend.corrected": gettext("Dashed, with a number: corrected; thin: the model's"),
  "legend.box": gettext("Dashed rectangle, with a number: the model gives no outline"),
  "legend.rejected": gettext("Dotted: rejected"),
  "legend.relabelled": gettext("Another class: {numbers}"),
  "legend.unsaved": gettext("This review is not saved"),

  "selected": gettext("Lesion {number} of {total}, {label}, score {score}. {measurements}."),
  "deselected": gettext("No lesion is selected."),

  "found": (count) =>
    count === 0
      ? gettext("No lesion found")
      : ngettext(
          "{count} lesion",
          "{count} lesions",
          count,
        ),
  "found.above": gettext("No lesion at or above the threshold"),
  "unreliable": gettext("Result not reliable"),
  "none.unreliable": gettext("The model marked no lesion in this image, but that is not reliable."),
  "none.lowest": gettext("The model marked no lesion with a score of {threshold} or more."),
  "score": gettext("Score is the model’s own confidence, not the probability of disease."),
  "order": gettext("The most severe class comes first. The numbers go by score."),
  "withheld": gettext("Not analysed: the image is not good enough. The service did not look for lesions. This is not a finding."),
  "ungradable": gettext("Check this image: it differs from the images that the model was tested on, so the result may be wrong."),
  "hidden": (count) =>
    count === 0
      ? gettext("All lesions are shown.")
      : ngettext(
          "{count} of {total} lesions is hidden: {reason}.",
          "{count} of {total} lesions are hidden: {reason}.",
          count,
        ),
  "hidden.score": gettext("the filter leaves out scores below {threshold}"),
  "hidden.class": gettext("the filter leaves out {classes}"),
  "hidden.both": gettext("the filter leaves out {classes}, and scores below {threshold}"),
  "below": (count) =>
    ngettext(
      "{count} more is below the threshold of {threshold} that was asked for with the image.",
      "{count} more are below the threshold of {threshold} that was asked for with the image.",
      count,
    ),
  "off": gettext("Lesions are not drawn."),
  "on": gettext("Lesions are drawn."),
  "lowest": gettext("The model reports no score below {threshold}."),
  "class": "{label} ({count})",

  "zoom": "{percent} %",
  "style.fill": gettext("Lesions are filled."),
  "style.outline": gettext("Lesions are outlined."),
  "original.on": gettext("The original is shown beside it."),
  "original.off": gettext("The original is no longer shown."),

  "adjusted": gettext("Not as taken: {changes}"),
  "adjusted.green": gettext("green filter"),
  "adjusted.brightness": gettext("brightness {percent}"),
  "adjusted.contrast": gettext("contrast {percent}"),
  "adjusted.noGreen": gettext("Green filter off."),
  "adjusted.none": gettext("The picture is as it was taken."),

  "share": gettext("Share of the image"),
  "sides": gettext("Width × height"),
  "size": gettext("{area}, {diameter} across"),
  "diameter": gettext("Longest diameter"),
  "unit.length": (count) => ngettext("{value} pixel", "{value} pixels", count),
  "unit.sides": gettext("{width} × {height} pixels"),
  "unit.mm.sides": "{width} × {height} mm",
  "unit.area": (count) => ngettext("{value} pixel", "{value} pixels", count),
  "unit.mm": "{value} mm",
  "unit.mm2": "{value} mm²",
  "measurements": gettext("Area {area}, width {width}, height {height}, longest diameter {diameter}"),
  "measurements.box": gettext("Area {area}, width {width}, height {height}, of its box"),

  "ruler.start": gettext(
    "Ruler: draw a line, or choose two points. With keys: the arrows move, Enter sets a point, Delete removes the last line, Escape ends.",
  ),
  "ruler.first": gettext("First point set."),
  "ruler.length": gettext("The line is {length} long."),
  "ruler.end": gettext("Ruler off."),
  "line": gettext("Line {number}: {length}"),
  "line.remove": gettext("Remove line {number}"),
  "line.removed": gettext("Line {number} is removed."),
  "scale.set": gettext("Scale set: the image is {width} mm wide."),
  "scale.is": gettext("The image is {width} mm wide."),
  "scale.width": gettext("The image is then {width} mm wide."),
  "scale.width.line": gettext(
    "The image is then {width} mm wide. Lengths are right to about {percent} %; a longer line is more exact.",
  ),
  "scale.extreme": gettext(
    "The image would be {width} mm wide. Images of the cervix are {narrowest} to {widest} mm wide: check the number.",
  ),
  "scale.draw": gettext("Draw a line"),
  "scale.redraw": gettext("Draw another line"),
  "scale.none": gettext("No scale: measurements are in pixels."),
  "scale.wrong": gettext("Type a number above 0."),
  "scale.line": gettext("The line is {length} long."),
  "scale.noLine": gettext("Draw a line over something whose length you know, such as a swab."),

  "edit.lesion": gettext("Outline of lesion {number}"),
  "edit.new": gettext("Outline of a new lesion"),
  "edit.help": gettext("Drag a point, or choose one and then its new place. The small points between add one."),
  "edit.keys": gettext(
    "Keys: N and P choose a point, the arrows move it, A adds one after it, Delete removes it, Ctrl Z undoes, Ctrl Y redoes, Enter ends, Escape cancels.",
  ),
  "draw.help": gettext("Set points around the lesion. To finish the shape, choose the first point again."),
  "draw.keys": gettext("Keys: the arrows move, Space sets a point, Backspace removes the last, Enter closes, Escape cancels."),
  "edit.holes": gettext("Holes in this lesion are filled: an outline has none."),
  "edit.point": gettext("Point {number} of {total}, at {x}, {y}."),
  "edit.few": gettext("An outline needs three points."),
  "edit.crossing": gettext("The outline crosses itself. Move a point."),
  "edit.flat": gettext("The outline has no area."),
  "edit.closed": gettext("The outline is closed. Change it, or choose Done."),
  "edit.open": gettext("Finish this outline, or cancel it, before you save."),
  "edit.undone": gettext("Undone."),
  "edit.redone": gettext("Redone."),
  "edit.done": gettext("The outline is taken."),
  "edit.cancelled": gettext("The outline is as before."),

  "export.hidden": (count) =>
    ngettext(
      "{count} of {total} lesions is hidden",
      "{count} of {total} lesions are hidden",
      count,
    ),
};

// Return the text of this key with its values, in the language of the page.
export const message = messagesOf(TEXTS);
