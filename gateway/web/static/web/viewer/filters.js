import { percent } from "../percent.js";
import { text } from "../elements.js";
import { message } from "./messages.js";

// The slider of the score and the boxes of the classes. `onChange` is called after each change of the
// visibility.
export class Filters {
  #part;
  #onChange;
  #visibility = null;

  constructor(part, onChange) {
    this.#part = part;
    this.#onChange = onChange;
    this.#slider.addEventListener("input", () => {
      const { max, value } = this.#slider;
      this.#visibility.setThreshold(Number(value) / Number(max));
      this.#showThreshold();
      onChange();
    });
    part(".viewer-filter").addEventListener("click", () => this.#open(part(".viewer-filters").hidden));
    part(".viewer-show-all").addEventListener("click", () => this.showAll());
  }

  // Show the choices for a study; all of its lesions are shown.
  open(study, visibility) {
    this.#visibility = visibility;
    this.#part(".viewer-filter").hidden = study.lesions.length === 0;
    this.#slider.max = 1000;
    this.#slider.min = Math.floor(study.lowestScore * 1000);
    this.#slider.value = this.#slider.min;
    this.#open(false);
    this.#part(".viewer-lowest").textContent = message("lowest", { threshold: percent(study.lowestScore) });
    this.#part(".viewer-classes").replaceChildren(...study.classes.map((each) => this.#classRow(each)));
    this.#showThreshold();
    this.tell();
  }

  // Say how many lesions are hidden.
  tell() {
    const { hidden, sentence } = this.#visibility;
    const line = this.#part(".viewer-hidden");
    line.textContent = hidden === 0 ? "" : sentence;
    this.#part(".viewer-show-all").hidden = hidden === 0;
  }

  #open(isOpen) {
    this.#part(".viewer-filters").hidden = !isOpen;
    this.#part(".viewer-filter").ariaExpanded = String(isOpen);
  }

  get #slider() {
    return this.#part(".viewer-threshold input");
  }

  #showThreshold() {
    const shown = percent(this.#visibility.threshold);
    this.#part(".viewer-threshold b").textContent = shown;
    this.#slider.ariaValueText = shown;
  }

  // Show all lesions again.
  showAll() {
    this.#slider.value = this.#slider.min;
    this.#visibility.setThreshold(0);
    for (const box of this.#part(".viewer-classes").querySelectorAll("input")) {
      box.checked = true;
      this.#visibility.switchClass(box.value, true);
    }
    this.#showThreshold();
    this.#onChange();
    this.#part(".viewer-filter").focus();
  }

  #classRow({ label, name, count, colour }) {
    const row = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", value: label, checked: true });
    box.disabled = count === 0;
    box.addEventListener("change", () => {
      this.#visibility.switchClass(label, box.checked);
      this.#onChange();
    });
    const swatch = text("span", "", "viewer-swatch");
    swatch.style.setProperty("--class", colour);
    row.classList.toggle("none", count === 0);
    row.append(box, swatch, text("span", message("class", { label: name, count })));
    const item = document.createElement("li");
    item.append(row);
    return item;
  }
}
