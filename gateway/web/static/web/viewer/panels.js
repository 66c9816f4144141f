// The panels over the picture, of which one is open at most; each is opened by a button of the toolbar.
export class Panels {
  #panels;
  #toolbar;

  constructor(panels, toolbar) {
    this.#panels = [...panels];
    this.#toolbar = toolbar;
    for (const panel of this.#panels) {
      panel.querySelector(".viewer-close").addEventListener("click", () => this.close());
    }
  }

  get #open() {
    return this.#panels.find((panel) => !panel.hidden);
  }

  isOpen(name) {
    return this.#open?.dataset.panel === name;
  }

  // Open a panel, or close it where it is open. Return whether it is open now.
  toggle(name) {
    const wasOpen = this.isOpen(name);
    this.close();
    if (wasOpen) return false;
    const panel = this.#panels.find((each) => each.dataset.panel === name);
    panel.hidden = false;
    this.#toolbar.expand(name, true);
    panel.focus({ preventScroll: true });
    return true;
  }

  // Close the panel that is open, with the focus back on its button. Return whether one was.
  close() {
    const panel = this.#open;
    if (!panel) return false;
    const name = panel.dataset.panel;
    const hadFocus = panel.contains(document.activeElement);
    panel.hidden = true;
    this.#toolbar.expand(name, false);
    if (hadFocus) this.#toolbar.focus(name);
    return true;
  }
}
