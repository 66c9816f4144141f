import { shownName } from "./files.js";
import { Refusal, UnreadableFile, isFinal } from "./problem.js";
import { Result } from "./result.js";
import { thumbnailOf } from "./thumbnail.js";
import { upload } from "./upload.js";

// The states of an image; those that a person may send, and those in which it is on its way.
const SENDABLE = new Set(["waiting", "cancelled"]);
const BUSY = new Set(["queued", "sending", "analysing"]);

// One image of the queue: its file, how far it is, and what was found in it. Only its own request
// writes to it. It tells each change by the event "change".
export class QueuedImage extends EventTarget {
  state = "waiting";
  share = null; // of the file that is sent, or null
  result = null;
  reviewed = ""; // what a review says otherwise than the result, in words
  error = null;
  thumbnailUrl = "";
  isShowable = null; // by this browser; null until that is known
  isReleased = false;
  #turn = 0; // of the last thumbnail

  constructor(file) {
    super();
    this.blob = file;
    this.name = shownName(file.name);
    this.modified = file.lastModified; // when the file was written last, in milliseconds
    this.#open(file);
  }

  get isSendable() {
    return SENDABLE.has(this.state) || (this.state === "failed" && !isFinal(this.error));
  }

  get isBusy() {
    return BUSY.has(this.state);
  }

  // Enter a state in which nothing is found yet; `error` is why it failed.
  enter(state, error = null) {
    Object.assign(this, { state, error, share: null });
    this.#tell();
  }

  // Ask for the picture of the service, where this browser cannot show the file.
  needPicture() {
    this.isShowable = false;
    Object.assign(this, { result: null, reviewed: "" });
    this.enter("waiting");
  }

  // Send the image and keep what was found. Raises what prevented it.
  async analyse(headers, signal) {
    this.enter("sending");
    const bytes = await this.#read();
    signal.throwIfAborted();
    // What is shown is what is sent, whatever was written to the file meanwhile.
    this.blob = bytes;
    if (this.isShowable !== false) this.isShowable = await this.#showThumbnail(bytes);
    signal.throwIfAborted();
    const query = new URLSearchParams({ masks: "rle", visualization: this.isShowable ? "none" : "jpeg" });
    const { status, body } = await upload(bytes, query, headers, {
      signal,
      onProgress: (share) => this.#progress(share),
      onSent: () => this.enter("analysing"),
    });
    signal.throwIfAborted();
    if (status !== 200) throw Refusal.of(status, body);
    this.result = new Result(body, new Date());
    this.enter("done");
    const { image } = this.result.answer;
    if (!this.isShowable && this.result.picture) this.#showThumbnail(this.result.picture);
    else if (this.isShowable && image.orientation > 1) this.#showThumbnail(bytes, image);
  }

  // Keep in words what a review says otherwise than the result.
  review(words) {
    if (words === this.reviewed) return;
    this.reviewed = words;
    this.#tell();
  }

  release() {
    this.isReleased = true;
    this.#turn += 1;
    URL.revokeObjectURL(this.thumbnailUrl);
    Object.assign(this, { blob: null, result: null, reviewed: "", error: null, thumbnailUrl: "" });
    this.#tell();
  }

  async #read() {
    try {
      return new Blob([await this.blob.arrayBuffer()], { type: this.blob.type });
    } catch {
      throw new UnreadableFile();
    }
  }

  // Return whether this browser can show what is in the blob; `image` is what the answer says of it.
  async #showThumbnail(blob, image) {
    this.#turn += 1;
    const turn = this.#turn;
    const thumbnail = await thumbnailOf(blob, image);
    if (turn === this.#turn) {
      URL.revokeObjectURL(this.thumbnailUrl);
      this.thumbnailUrl = thumbnail === null ? "" : URL.createObjectURL(thumbnail);
      this.#tell();
    }
    return thumbnail !== null;
  }

  // Find out whether this browser can show the chosen file; sending it finds out anew.
  async #open(file) {
    const isShowable = await this.#showThumbnail(file);
    if (this.blob !== file) return;
    this.isShowable = isShowable;
    this.#tell();
  }

  #progress(share) {
    this.share = share;
    this.#tell();
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}
