import { Stalled, Unreachable } from "./problem.js";

// Without a byte sent for so long, a connection counts as lost. The answer itself may take as long
// as the service's own deadline.
const STALLED_MS = 60_000;
const ANSWER_MS = 11 * 60_000;

// Send an image and return the answer's status and text. Raises Unreachable, Stalled, or the
// signal's reason where it was cancelled. `onProgress` gets the share that is sent, `onSent` is
// called after it.
export function upload(bytes, query, headers, { signal, onProgress, onSent }) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const body = new FormData();
    // A fixed name: what the file is called may name a patient.
    body.append("file", bytes, "image");
    const request = new XMLHttpRequest(); // fetch tells no progress
    request.open("POST", `/predict/?${query}`);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    const watch = new Watch(() => {
      reject(new Stalled());
      request.abort();
    });
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      watch.within(STALLED_MS);
      onProgress(loaded / total);
    });
    request.upload.addEventListener("load", () => {
      watch.within(ANSWER_MS);
      onSent();
    });
    request.addEventListener("load", () => resolve({ status: request.status, body: request.responseText }));
    request.addEventListener("error", () => reject(new Unreachable()));
    request.addEventListener("abort", () => reject(signal.reason));
    request.addEventListener("loadend", () => watch.end());
    signal.addEventListener("abort", () => request.abort());
    watch.within(STALLED_MS);
    request.send(body);
  });
}

class Watch {
  #onEnd;
  #timer = 0;

  constructor(onEnd) {
    this.#onEnd = onEnd;
  }

  within(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#onEnd, ms);
  }

  end() {
    clearTimeout(this.#timer);
  }
}
