// Every text that the scripts of the page show. `{name}` stands for a value. A text with several
// forms is chosen by its value `count`, by the plural rules of the page's language.
const TEXTS = {
  // The service and the network
  "service.ready": "Ready: {model}",
  "service.starting": "The service is not ready yet.",
  "service.unreachable": "The service cannot be reached.",
  "offline": "This computer is offline. Images that wait are kept; send them when the connection is back.",

  // The queue
  "queue.title": { zero: "Images", other: "Images ({count})" },
  "queue.remove": "Remove {name}",
  "state.waiting": "Not sent yet. {size}",
  "state.queued": "Waits for its turn.",
  "state.sending": "Sending …",
  "state.share": "Sending … {percent} %",
  "state.analysing": "Looking for lesions …",
  "state.failed": "Not analysed.",
  "state.cancelled": "Cancelled.",
  "submit": "Find lesions",
  "submit.counted": { one: "Find lesions in 1 image", other: "Find lesions in {count} images" },
  "retry.counted": { one: "Retry 1 failed", other: "Retry {count} failed" },
  "progress.choose": "Choose an image first.",
  "progress.one": "Looking for lesions in {name} …",
  "progress.many": "Looking for lesions: {done} of {total} images are done.",
  "progress.cancelled": "Cancelled.",
  "progress.ended": "{answered} of {total} images are analysed.",
  "progress.result": "{name}. {headline}.",
  "progress.check": { one: "1 image needs a check.", other: "{count} images need a check." },
  "clear.words": {
    one: "The image, its result and what you typed for the report are removed from this page.",
    other: "The {count} images, their results and what you typed for the report are removed from this page.",
  },

  // Files that are not taken
  "refused.title": "Not taken",
  "refused.type": "it is not an image",
  "refused.limit": "at most {most} images are taken at once",
  "refused.folder": "it is a folder; drop the images in it",
  "refused.nothing": "What was dropped",
  "refused.empty": "it holds no file",
  "refused.heic":
    "it is a HEIC picture of a phone. Save it as JPEG: on an iPhone, choose Settings, Camera, Formats, Most Compatible before you take it, or share it by e-mail",
  "refused.avif": "it is an AVIF picture; save it as JPEG or PNG",
  "refused.dicom": "it is a DICOM file; export the picture from its viewer as JPEG or PNG",
  "refused.pdf": "it is a PDF document; export the picture in it as JPEG or PNG",
  "refused.video": "it is a video; save a single picture of it as JPEG or PNG",
  "pasted": "pasted image {number}.{ending}",

  // A result
  "result.none": "No lesion found",
  "result.found": { one: "1 lesion found: {classes}", other: "{count} lesions found: {classes}" },
  "result.class": "{count} {label}",
  "result.unreliable": "Result not reliable",
  "result.unreliable.found": "Result not reliable. {found}",
  "result.withheld": "Not analysed: the image is not good enough",
  "result.caption": "Lesions in {name}, by falling score",
  "result.drawn": "{name} with the lesions drawn on",
  "result.withoutPicture": "The picture of the lesions cannot be shown.",
  "result.again": "Send again for the picture of the service",
  "result.pixels": "{area} px",
  "provenance.model": "model {name} {version} ({digest})",
  "provenance.image": "{width} × {height} {format}",
  "provenance.request": "request {id}",
  "preview.none": "This browser cannot show the file itself. The service's picture of it appears with the result.",
  "save.of": "{what} of {name}",

  // Two images beside each other
  "compare.start": "Compare",
  "compare.end": "End comparing",
  "compare.class": "Class",
  "compare.lesions": "Lesions",
  "compare.file": "file of {time}",
  "compare.none": "none",
  "compare.withheld": "not analysed",
  "compare.found": { one: "1 ({area})", other: "{count} (largest {area})" },
  "compare.scale": "Areas are in pixels, which cannot be compared: {name} has no scale.",
  "compare.scales": "Areas are in pixels, which cannot be compared until both images have a scale.",
  "compare.models": "The images were analysed by different models.",

  // The review
  "review.lesion": "Lesion {number}, {label}",
  "review.edit": "Edit the outline of {name}",
  "review.uncorrect": "Undo the correction of the outline of {name}",
  "review.class": "Class of {name}",
  "review.missed": { one: "{label}", other: "{label} ({count})" },
  "review.remove": "Remove",
  "review.removeNamed": "Remove the missed lesion {name}",
  "review.unsaved": "Not saved yet.",
  "review.rest": { one: "{count} of {total} lesions has no verdict.", other: "{count} of {total} lesions have no verdict." },
  "review.saving": "Saving …",
  "review.saved": "Saved as version {version}.",
  "review.version": "Version {version}, {by}, {time}",

  // Why an image is not gradable, in a clinician's words
  "quality.too_dark": "The image is too dark.",
  "quality.too_bright": "The image is too bright.",
  "quality.overexposed": "Parts of the image are overexposed.",
  "quality.out_of_focus": "The image is out of focus.",
  "quality.glare": "The image has too much glare.",
  "quality.low_contrast": "The image has too little contrast.",
  "quality.noisy": "The image is too grainy.",
  "quality.colour_cast": "The colours of the image are off.",
  "quality.dark_corners": "The corners of the image are too dark.",
  "quality.too_small": "The image has too few pixels.",
  "quality.other": "The image is not good enough ({reason}).",
  "quality.withheld": "The service did not look for lesions. This is not a finding. Take the image again if you can.",
  "quality.unlike":
    "It differs from the images that the model was tested on, so the result may be wrong. Take it again if you can.",

  // What went wrong
  "problem.status": "The service answered with status {status}",
  "problem.unauthorized": "Unauthorized",
  "problem.letters": "The key holds characters that no key has.",
  "problem.request": "Request {id}",
  "problem.unreadable": "The file cannot be read: it was changed or removed since. Choose it again.",
  "problem.unreachable": "No answer came back. Check the connection and try again.",
  "problem.offline": "This computer is offline. Try again when the connection is back.",
  "problem.stalled": "The connection is too slow: nothing was sent or received for a minute. Try again.",
  "problem.unclear": "The answer cannot be shown. Tell your operator.",
  "advice.restarted": "The demo was restarted. Load the page again.",
  "advice.401": "Check that all of the key was copied; it may have expired or been revoked. Or sign in.",
  "advice.403": "Load the page again. If that does not help, ask your administrator for the right to do this.",
  "advice.409": "It was saved elsewhere meanwhile. Read the saved review; what you did not save here is lost then.",
  "advice.413": "Export it smaller.",
  "advice.415": "Save the picture as JPEG or PNG.",
  "advice.422": "Copy or export it again from its source.",
  "advice.429": "Wait a minute and try again.",
  "advice.502": "Try again, and tell your administrator if it goes on.",
  "advice.503": "Wait a few seconds and try again.",
  "advice.504": "Wait a few seconds and try again.",

  // The session
  "session.changed": "Somebody else signed in or out in this browser; the images and results were removed.",
  "session.reload": "Load the page again",
  "session.removed": "Your session has ended; the images and results were removed.",
  "session.again": "Sign in again",
  "locked.words": {
    zero: "Sign in again as {user} to go on.",
    one: "Sign in again as {user} to go on. Your image is hidden meanwhile, and removed at {until}.",
    other: "Sign in again as {user} to go on. Your {count} images are hidden meanwhile, and removed at {until}.",
  },

  // The report
  "report.patient": "Patient",
  "report.birth": "Date of birth",
  "report.indication": "Indication",
  "report.remarks": "Remarks",
  "report.model": "Model",
  "report.engine": "Computed with",
  "report.bundle": "Bundle",
  "report.threshold": "Score threshold",
  "report.analysed": "Analysed",
  "report.image": "Image",
  "report.digest": "SHA-256 of the image",
  "report.quality": "Quality",
  "report.request": "Request",
  "report.review": "Review",
  "report.reviewer": "By {user}.",
  "report.unsaved": "This review is not saved.",
  "report.accept": "accepted",
  "report.reject": "no lesion",
  "report.relabel": "is {label}",
  "report.corrected": "{verdict}, outline corrected",
  "report.missed": { zero: "The model missed no lesion.", other: "The model missed: {lesions}." },
  "report.missedUnsaid": "Whether the model missed a lesion is not said.",
  "report.ungradable": "The reviewer says that the image cannot be judged.",
  "report.gradable": "As the images that the model was tested on",
  "report.unassessed": "Not assessed",
  "report.check": "Needs a check",
  "report.printed": "Printed {time}. Scores are the model's own confidence, not the probability of disease.",
  "report.failed": "The report cannot be made: {reason}",
};

const language = document.documentElement.lang;
const plurals = new Intl.PluralRules(language);

// Return the text of this key with its values. Numbers are to be given as they are to be read.
export function message(key, values = {}) {
  const text = TEXTS[key];
  const form = typeof text === "string" ? text : formOf(text, values.count);
  return form.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export function isMessage(key) {
  return Object.hasOwn(TEXTS, key);
}

function formOf(forms, count) {
  if (count === 0 && forms.zero) return forms.zero;
  return forms[plurals.select(count)] ?? forms.other;
}
