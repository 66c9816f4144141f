import { Unreachable } from "./problem.js";

// Send an image and return the answer's status and text. Raises Unreachable, or the signal's reason
// where it was cancelled. `onProgress` gets the share that is sent, `onSent` is called after it.
export function upload(bytes, query, headers, { signal, onProgress, onSent }) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const body = new FormData();
    // A fixed name: what the file is called may name a patient.
    body.append("file", bytes, "image");
    const request = new XMLHttpRequest(); // fetch tells no progress
    request.open("POST", `/predict/?${query}`);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", ({ loaded, total }) => onProgress(loaded / total));
    request.upload.addEventListener("load", onSent);
    request.addEventListener("load", () => resolve({ status: request.status, body: request.responseText }));
    request.addEventListener("error", () => reject(new Unreachable()));
    request.addEventListener("abort", () => reject(signal.reason));
    signal.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}
