import { copyOf, text } from "./elements.js";
import { shownSize } from "./files.js";
import { message } from "./messages.js";
import { shortReason } from "./problem.js";

// One image in the list of the queue: its small picture, its name and how far it is. It tells
// "pick" and "discard" by events.
export class ImageCard extends EventTarget {
  element = copyOf("card").firstElementChild;
  #image;

  constructor(image) {
    super();
    this.#image = image;
    this.#part(".name bdi").append(...wrappable(image.name));
    this.#part(".name").title = image.name;
    this.#part(".remove").ariaLabel = message("queue.remove", { name: image.name });
    this.#part(".pick").addEventListener("click", () => this.dispatchEvent(new Event("pick")));
    this.#part(".remove").addEventListener("click", () => this.dispatchEvent(new Event("discard")));
    image.addEventListener("change", () => this.#update());
    this.#update();
  }

  // Show whether this is the selected image, which is also the one that Tab reaches.
  select(isSelected) {
    const pick = this.#part(".pick");
    pick.ariaCurrent = isSelected ? "true" : null;
    pick.tabIndex = isSelected ? 0 : -1;
    this.#part(".remove").tabIndex = isSelected ? 0 : -1;
  }

  focus() {
    this.#part(".pick").focus();
  }

  // Scroll the list to it, and the page not.
  show() {
    const list = this.element.parentElement;
    const [row, box] = [this.element.getBoundingClientRect(), list.getBoundingClientRect()];
    const overlap = (from, to, start, end) => Math.min(0, from - start) + Math.max(0, to - end);
    list.scrollBy(overlap(row.left, row.right, box.left, box.right), overlap(row.top, row.bottom, box.top, box.bottom));
  }

  #update() {
    const image = this.#image;
    this.element.dataset.state = image.state;
    this.#part(".state").textContent = image.reviewed === "" ? stateOf(image) : headlineOfModel(image.result);
    this.#part(".reviewed").textContent = image.reviewed;
    const thumbnail = this.#part(".thumbnail");
    if (thumbnail.getAttribute("src") !== image.thumbnailUrl) thumbnail.src = image.thumbnailUrl;
    thumbnail.hidden = image.thumbnailUrl === "";
    showProgress(this.#part("progress"), image);
    this.#showBadge(image.result);
    this.element.classList.toggle("needs-check", image.result?.isUngradable ?? false);
  }

  // A dot for each class that was found, and the number of lesions; "!" first where it is not reliable.
  #showBadge(result) {
    const badge = this.#part(".badge");
    badge.hidden = !result;
    if (!result) return;
    const dots = result.classes.map(({ colour }) => {
      const dot = text("i", "", "dot");
      dot.style.background = colour;
      return dot;
    });
    const count = result.isUngradable && result.count === 0 ? [] : [String(result.count)];
    badge.replaceChildren(...(result.isUngradable ? ["!"] : []), ...dots, ...count);
  }

  #part(selector) {
    return this.element.querySelector(selector);
  }
}

// Return a file's name as nodes, of which a line ends after a separator, and never in the ending.
function wrappable(name) {
  const ending = name.match(/.{0,4}\.\w{1,5}$/)?.[0] ?? "";
  const stem = name.slice(0, name.length - ending.length);
  const parts = stem.split(/(?<=[-_])/).flatMap((part) => [document.createElement("wbr"), part]);
  return [...parts.slice(1), text("span", ending, "ending")];
}

// Return in words how far an image is, or what was found in it.
export function stateOf(image) {
  if (image.isReleased) return "";
  if (image.state === "waiting") return message("state.waiting", { size: shownSize(image.blob.size) });
  if (image.state === "sending" && image.share !== null) {
    return message("state.share", { percent: Math.floor(image.share * 100) });
  }
  if (image.state === "failed") return message("state.failed", { reason: shortReason(image.error) });
  if (image.state !== "done") return message(`state.${image.state}`);
  return image.result.headline;
}

// Return the headline of a result as that of the model, beside what a review says otherwise.
export function headlineOfModel({ headline }) {
  return message("report.found.model", { headline });
}

export function showProgress(progress, { state, share }) {
  progress.hidden = state !== "sending" && state !== "analysing";
  if (share === null) progress.removeAttribute("value");
  else progress.value = share;
}
