import { copyOf } from "./elements.js";
import { shownName } from "./files.js";
import { Findings } from "./findings.js";
import { Refusal, UnreadableFile, explain } from "./problem.js";
import { upload } from "./upload.js";

// One image on the page: its name and picture, how far it is, and what was found in it. Everything
// that is shown of an image lies within its card, and only the card's own request writes to it.
export class ImageCard {
  #file;
  #thumbnailUrl = "";
  #findings = null;

  constructor(file) {
    this.#file = file;
    this.element = copyOf("card").firstElementChild;
    this.name = shownName(file.name);
    this.#part(".name bdi").textContent = this.name;
    this.#part(".thumbnail").addEventListener("load", () => (this.#part(".thumbnail").hidden = false));
    this.#showThumbnail(file);
    this.reset();
  }

  get headline() {
    return this.#findings?.headline ?? "";
  }

  get isOfDemo() {
    return this.#findings?.isOfDemo ?? false;
  }

  get isUngradable() {
    return this.#findings?.isUngradable ?? false;
  }

  // Forget what was found; the image can be sent.
  reset() {
    this.#findings?.release();
    this.#findings = null;
    this.#part(".findings").replaceChildren();
    this.#part(".problem").replaceChildren();
    this.#part(".problem").hidden = true;
    this.#enter("waiting", `Not sent yet. ${size(this.#file.size)}`);
  }

  // Send the image and show what was found. Raises what prevented it.
  async analyse(query, headers, signal) {
    this.#enter("sending", "Sending …");
    const bytes = await this.#read();
    signal.throwIfAborted();
    // What is shown is what is sent, whatever was written to the file meanwhile.
    this.#showThumbnail(bytes);
    const { status, body } = await upload(bytes, query, headers, {
      signal,
      onProgress: (share) => this.#showProgress(share),
      onSent: () => this.#enter("analysing", "Looking for lesions …"),
    });
    signal.throwIfAborted();
    if (status !== 200) throw Refusal.of(status, body);
    this.#findings = new Findings(body, this.name, new Date());
    this.#part(".findings").replaceChildren(this.#findings.nodes);
    this.#enter("done", this.#findings.isWithheld ? "Not analysed." : "Analysed.");
  }

  showProblem(error) {
    this.#part(".problem").replaceChildren(...explain(error));
    this.#part(".problem").hidden = false;
    this.#enter("refused", "Not analysed.");
  }

  showCancelled() {
    this.#enter("cancelled", "Cancelled.");
  }

  focus() {
    this.#part(".name").focus();
  }

  remove() {
    this.reset();
    URL.revokeObjectURL(this.#thumbnailUrl);
    this.element.remove();
  }

  async #read() {
    try {
      return new Blob([await this.#file.arrayBuffer()], { type: this.#file.type });
    } catch {
      throw new UnreadableFile();
    }
  }

  #showThumbnail(blob) {
    URL.revokeObjectURL(this.#thumbnailUrl);
    this.#thumbnailUrl = URL.createObjectURL(blob);
    this.#part(".thumbnail").hidden = true; // stays so for a format that the browser cannot show
    this.#part(".thumbnail").src = this.#thumbnailUrl;
  }

  #showProgress(share) {
    this.#part("progress").value = share;
    this.#part(".state").textContent = `Sending … ${Math.floor(share * 100)} %`;
  }

  #enter(state, description) {
    const progress = this.#part("progress");
    progress.hidden = state !== "sending" && state !== "analysing";
    progress.removeAttribute("value");
    this.element.dataset.state = state;
    this.#part(".state").textContent = description;
  }

  #part(selector) {
    return this.element.querySelector(selector);
  }
}

function size(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
