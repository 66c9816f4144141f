import { messagesOf } from "./language.js";

// Every text that the scripts of the page show. What is marked with gettext() and ngettext() is
// collected for translation by `make messages`.
const TEXTS = {
  // The service and the network
  "service.ready": gettext("Ready: {model}"),
  "service.starting": gettext("The service is not ready yet."),
  "service.unreachable": gettext("The service cannot be reached."),
  "offline": gettext("This computer is offline. Images that wait are kept; send them when the connection is back."),

  // The queue
  "queue.title": (count) => (count === 0 ? gettext("Images") : gettext("Images ({count})")),
  "queue.remove": gettext("Remove {name}"),
  "state.waiting": gettext("Not sent yet. {size}"),
  "state.queued": gettext("Waits for its turn."),
  "state.sending": gettext("Sending …"),
  "state.share": gettext("Sending … {percent} %"),
  "state.analysing": gettext("Looking for lesions …"),
  "state.failed": gettext("Not analysed."),
  "state.cancelled": gettext("Cancelled."),
  "state.check": gettext("{headline}. Needs a check."),
  "submit": gettext("Find lesions"),
  "submit.counted": (count) => ngettext("Find lesions in {count} image", "Find lesions in {count} images", count),
  "retry.counted": (count) => ngettext("Retry {count} failed", "Retry {count} failed", count),
  "progress.choose": gettext("Choose an image first."),
  "progress.one": gettext("Looking for lesions in {name} …"),
  "progress.many": gettext("Looking for lesions: {done} of {total} images are done."),
  "progress.cancelled": gettext("Cancelled."),
  "progress.ended": gettext("{answered} of {total} images are analysed."),
  "progress.result": gettext("{name}: {headline}."),
  "progress.check": (count) => ngettext("{count} image needs a check.", "{count} images need a check.", count),
  "clear.words": (count) =>
    ngettext(
      "The image, its result and what you typed for the report are removed from this page.",
      "The {count} images, their results and what you typed for the report are removed from this page.",
      count,
    ),

  // Files that are not taken
  "refused.title": gettext("Not taken"),
  "refused.type": gettext("it is not an image"),
  "refused.limit": gettext("at most {most} images are taken at once"),
  "refused.folder": gettext("it is a folder; drop the images in it"),
  "refused.nothing": gettext("What was dropped"),
  "refused.empty": gettext("it holds no file"),
  "refused.heic": gettext(
    "it is a HEIC picture of a phone. Save it as JPEG: on an iPhone, choose Settings, Camera, Formats, Most Compatible before you take it, or share it by e-mail",
  ),
  "refused.avif": gettext("it is an AVIF picture; save it as JPEG or PNG"),
  "refused.dicom": gettext("it is a DICOM file; export the picture from its viewer as JPEG or PNG"),
  "refused.pdf": gettext("it is a PDF document; export the picture in it as JPEG or PNG"),
  "refused.video": gettext("it is a video; save a single picture of it as JPEG or PNG"),
  "pasted": gettext("pasted image {number}.{ending}"),

  // A result
  "result.none": gettext("No lesion found"),
  "result.found": (count) => ngettext("{count} lesion found", "{count} lesions found", count),
  "result.withheld": gettext("Not analysed: the image is not good enough"),
  "result.caption": gettext("Lesions in {name}, by falling score"),
  "result.drawn": gettext("{name} with the lesions drawn on"),
  "result.withoutPicture": gettext("The picture of the lesions cannot be shown."),
  "result.again": gettext("Send again for the picture of the service"),
  "result.pixels": "{area} px",
  "provenance.model": gettext("model {name} {version} ({digest})"),
  "provenance.image": "{width} × {height} {format}",
  "provenance.request": gettext("request {id}"),
  "preview.none": gettext("This browser cannot show the file itself. The service's picture of it appears with the result."),
  "save.picture": gettext("Download picture of {name}"),
  "save.json": gettext("Download JSON of {name}"),

  // The review
  "review.lesion": gettext("Lesion {number}, {label}"),
  "review.edit": gettext("Edit the outline of {name}"),
  "review.uncorrect": gettext("Undo the correction of the outline of {name}"),
  "review.class": gettext("Class of {name}"),
  "review.missed": (count) => (count === 1 ? "{label}" : "{label} ({count})"),
  "review.remove": gettext("Remove"),
  "review.removeNamed": gettext("Remove the missed lesion {name}"),
  "review.unsaved": gettext("Not saved yet."),
  "review.rest": (count) =>
    ngettext("{count} of {total} lesions has no verdict.", "{count} of {total} lesions have no verdict.", count),
  "review.saving": gettext("Saving …"),
  "review.saved": gettext("Saved as version {version}."),
  "review.version": gettext("Version {version}, {by}, {time}"),

  // Why an image is not gradable, in a clinician's words
  "quality.too_dark": gettext("The image is too dark."),
  "quality.too_bright": gettext("The image is too bright."),
  "quality.overexposed": gettext("Parts of the image are overexposed."),
  "quality.out_of_focus": gettext("The image is out of focus."),
  "quality.glare": gettext("The image has too much glare."),
  "quality.low_contrast": gettext("The image has too little contrast."),
  "quality.noisy": gettext("The image is too grainy."),
  "quality.colour_cast": gettext("The colours of the image are off."),
  "quality.dark_corners": gettext("The corners of the image are too dark."),
  "quality.too_small": gettext("The image has too few pixels."),
  "quality.other": gettext("The image is not good enough ({reason})."),
  "quality.withheld": gettext("The service did not look for lesions. This is not a finding. Take the image again if you can."),
  "quality.unlike": gettext(
    "It differs from the images that the model was tested on, so the result may be wrong. Take it again if you can.",
  ),

  // What the service refused, by the code of its problem answer
  "error.bad_request": gettext("Bad request"),
  "error.unauthorized": gettext("Unauthorized"),
  "error.forbidden": gettext("Forbidden"),
  "error.not_found": gettext("Not found"),
  "error.method_not_allowed": gettext("Method not allowed"),
  "error.request_timeout": gettext("Request timeout"),
  "error.conflict": gettext("Conflict"),
  "error.feedback_outdated": gettext("Feedback outdated"),
  "error.length_required": gettext("Length required"),
  "error.body_too_large": gettext("Body too large"),
  "error.image_too_large": gettext("Image too large"),
  "error.unsupported_media_type": gettext("Unsupported media type"),
  "error.unsupported_image": gettext("Unsupported image type"),
  "error.image_error": gettext("Image not accepted"),
  "error.broken_image": gettext("Image cannot be read"),
  "error.idempotency_key_reused": gettext("Idempotency key reused"),
  "error.feedback_mismatch": gettext("Feedback does not fit"),
  "error.too_many_requests": gettext("Too many requests"),
  "error.headers_too_large": gettext("Request header fields too large"),
  "error.internal_error": gettext("Internal error"),
  "error.model_error": gettext("Model error"),
  "error.prediction_failed": gettext("Prediction failed"),
  "error.upstream_fault": gettext("Bad gateway"),
  "error.upstream_distrusted": gettext("Bad gateway"),
  "error.poison": gettext("Model lost with the image"),
  "error.overloaded": gettext("Service overloaded"),
  "error.unavailable": gettext("Service unavailable"),
  "error.not_ready": gettext("Service not ready"),
  "error.database_unavailable": gettext("Service unavailable"),
  "error.deadline_exceeded": gettext("Deadline exceeded"),

  // What went wrong
  "problem.status": gettext("The service answered with status {status}"),
  "problem.letters": gettext("The key holds characters that no key has."),
  "problem.request": gettext("Request {id}"),
  "problem.unreadable": gettext("The file cannot be read: it was changed or removed since. Choose it again."),
  "problem.unreachable": gettext("No answer came back. Check the connection and try again."),
  "problem.offline": gettext("This computer is offline. Try again when the connection is back."),
  "problem.stalled": gettext("The connection is too slow: nothing was sent or received for a minute. Try again."),
  "problem.unclear": gettext("The answer cannot be shown. Tell your operator."),
  "advice.restarted": gettext("The demo was restarted. Load the page again."),
  "advice.400": gettext("Load the page again, and tell your administrator if it goes on."),
  "advice.401": gettext("Check that all of the key was copied; it may have expired or been revoked. Or sign in."),
  "advice.403": gettext("Load the page again. If that does not help, ask your administrator for the right to do this."),
  "advice.404": gettext("Load the page again, and tell your administrator if it goes on."),
  "advice.408": gettext("Check the connection and try again."),
  "advice.409": gettext("It was saved elsewhere meanwhile. Read the saved review; what you did not save here is lost then."),
  "advice.413": gettext("Export it smaller."),
  "advice.415": gettext("Save the picture as JPEG or PNG."),
  "advice.422": gettext("Copy or export it again from its source."),
  "advice.feedback_mismatch": gettext("Load the page again, and tell your administrator if it goes on."),
  "advice.429": gettext("Wait a minute and try again."),
  "advice.500": gettext("Try again, and tell your administrator if it goes on."),
  "advice.502": gettext("Try again, and tell your administrator if it goes on."),
  "advice.503": gettext("Wait a few seconds and try again."),
  "advice.504": gettext("Wait a few seconds and try again."),

  // The session
  "session.changed": gettext("Somebody else signed in or out in this browser; the images and results were removed."),
  "session.reload": gettext("Load the page again"),
  "session.removed": gettext("Your session has ended; the images and results were removed."),
  "session.again": gettext("Sign in again"),
  "locked.words": (count) =>
    count === 0
      ? gettext("Sign in again as {user} to go on.")
      : ngettext(
          "Sign in again as {user} to go on. Your image is hidden meanwhile, and removed at {until}.",
          "Sign in again as {user} to go on. Your {count} images are hidden meanwhile, and removed at {until}.",
          count,
        ),

  // The report
  "report.patient": gettext("Patient"),
  "report.birth": gettext("Date of birth"),
  "report.indication": gettext("Indication"),
  "report.remarks": gettext("Remarks"),
  "report.model": gettext("Model"),
  "report.engine": gettext("Computed with"),
  "report.bundle": gettext("Bundle"),
  "report.threshold": gettext("Score threshold"),
  "report.analysed": gettext("Analysed"),
  "report.image": gettext("Image"),
  "report.digest": gettext("SHA-256 of the image"),
  "report.quality": gettext("Quality"),
  "report.request": gettext("Request"),
  "report.review": gettext("Review"),
  "report.reviewer": gettext("By {user}."),
  "report.unsaved": gettext("This review is not saved."),
  "report.accept": gettext("accepted"),
  "report.reject": gettext("no lesion"),
  "report.relabel": gettext("is {label}"),
  "report.corrected": gettext("{verdict}, outline corrected"),
  "report.missed": (count) =>
    count === 0 ? gettext("The model missed no lesion.") : gettext("The model missed: {lesions}."),
  "report.missedUnsaid": gettext("Whether the model missed a lesion is not said."),
  "report.ungradable": gettext("The reviewer says that the image cannot be judged."),
  "report.gradable": gettext("As the images that the model was tested on"),
  "report.unassessed": gettext("Not assessed"),
  "report.check": gettext("Needs a check"),
  "report.printed": gettext("Printed {time}. Scores are the model's own confidence, not the probability of disease."),
  "report.failed": gettext("The report cannot be made: {reason}"),
};

// Return the text of this key with its values, in the language of the page.
export const message = messagesOf(TEXTS);

export function isMessage(key) {
  return Object.hasOwn(TEXTS, key);
}
