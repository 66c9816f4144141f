import { isMessage, message } from "./messages.js";

// Return a sentence for each reason for which an image is not gradable; a later version of the
// service may give one that is not known here.
export function reasonsOf({ reasons }) {
  return reasons.map((reason) =>
    isMessage(`quality.${reason}`)
      ? message(`quality.${reason}`)
      : message("quality.other", { reason: reason.replaceAll("_", " ") }),
  );
}

// Return what the reasons mean for the result, and what to do.
export function consequence({ withheld }) {
  return message(withheld ? "quality.withheld" : "quality.unlike");
}
