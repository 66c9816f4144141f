import { written } from "../language.js";
import { message } from "./messages.js";

// The buttons above the picture. `actions` has a function for each button's `data-do`; `onOpacity` gets
// the opacity that is chosen, 0 to 1.
export class Toolbar {
  #element;
  #shown = "";

  constructor(element, actions, onOpacity) {
    this.#element = element;
    for (const button of element.querySelectorAll("[data-do]")) {
      button.addEventListener("click", () => actions[button.dataset.do]());
    }
    this.#opacity.addEventListener("input", () => onOpacity(Number(this.#opacity.value) / 100));
  }

  // Show the state of these parts of the viewer.
  show(screen, appearance, adjustments, measuring, hasLesions) {
    const { viewport, style, tool } = screen;
    const state = {
      zoom: viewport.scale / devicePixelRatio, // CSS pixels for a pixel of the image
      isFit: viewport.isFit,
      isMost: viewport.scale >= viewport.most,
      style,
      isOriginalShown: appearance.isOriginalShown,
      isAdjusted: !adjustments.isNone,
      isRuling: tool === measuring.ruler,
      isEditing: tool !== null && tool !== measuring.ruler,
      hasScale: measuring.scale.millimetres !== null,
      hasLesions,
    };
    const shown = JSON.stringify(state);
    if (shown === this.#shown) return; // a page is laid out anew only where something changes
    this.#shown = shown;
    this.#write(state);
  }

  #write({ zoom, isFit, isMost, style, isOriginalShown, isAdjusted, isRuling, isEditing, hasScale, hasLesions }) {
    this.#element.querySelector(".viewer-zoom").textContent = message("zoom", { percent: written(zoom * 100) });
    this.#button("zoomOut").disabled = isFit;
    this.#button("zoomIn").disabled = isMost;
    this.#press("fit", isFit);
    this.#press("overlay", style.isDrawn && hasLesions);
    this.#press("style", style.style === "outline");
    this.#press("original", isOriginalShown);
    this.#press("ruler", isRuling);
    this.#button("picture").classList.toggle("set", isAdjusted);
    this.#button("scale").classList.toggle("set", hasScale);
    this.#button("ruler").disabled = isEditing;
    for (const name of ["overlay", "style"]) this.#button(name).disabled = !hasLesions;
    const percent = Math.round(style.opacity[style.style] * 100);
    this.#opacity.value = percent;
    this.#opacity.ariaValueText = message("zoom", { percent });
    this.#opacity.disabled = !hasLesions || !style.isDrawn;
  }

  // Say whether a panel that this button opens is open.
  expand(name, isOpen) {
    this.#button(name).ariaExpanded = String(isOpen);
  }

  focus(name) {
    this.#button(name).focus();
  }

  get #opacity() {
    return this.#element.querySelector(".viewer-opacity input");
  }

  #button(name) {
    return this.#element.querySelector(`[data-do=${name}]`);
  }

  #press(name, isPressed) {
    this.#button(name).ariaPressed = String(isPressed);
  }
}
