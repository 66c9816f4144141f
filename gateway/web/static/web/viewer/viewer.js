import { copyOf } from "../elements.js";
import { Appearance } from "./appearance.js";
import { Filters } from "./filters.js";
import { listenToKeys } from "./keys.js";
import { LesionList, words } from "./lesion_list.js";
import { Link } from "./link.js";
import { Measuring } from "./measuring.js";
import { message } from "./messages.js";
import { described, notesOf } from "./notes.js";
import { Panels } from "./panels.js";
import { pictureOf } from "./picture.js";
import { Screen } from "./screen.js";
import { Toolbar } from "./toolbar.js";
import { Visibility } from "./visibility.js";

const ZOOM_STEP = 1.4; // of a button or a key

// Shows a study: the image with its lesions, the list of these, and what is measured. Dispatches
// "select" with the { id } of the lesion that a person chose or null, "shown" with { hidden, total }
// when what is visible has changed, and "scale" when the person gives another one.
export class Viewer extends EventTarget {
  #root;
  #study = null;
  #visibility = null;
  #selected = null;
  #described = "";
  #screen;
  #link;
  #appearance;
  #toolbar;
  #filters;
  #list;
  #panels;
  #measuring;

  // `root` is an empty element, which the viewer fills.
  constructor(root) {
    super();
    this.#root = root;
    root.replaceChildren(copyOf("viewer"));
    this.#screen = new Screen(this.#part(".viewer-stage"));
    this.#link = new Link(this.viewport);
    const announce = (words) => this.announce(words);
    const original = this.#part(".viewer-original");
    this.#appearance = new Appearance(this.#screen, original, announce, () => this.#showState());
    const setOpacity = (opacity) => this.#appearance.setOpacity(opacity);
    this.#toolbar = new Toolbar(this.#part(".viewer-bar"), this.#actions, setOpacity);
    this.#filters = new Filters((selector) => this.#part(selector), () => this.#filter());
    const [choose, hover] = [(id) => this.#choose(id), (id) => this.#hover(id)];
    this.#list = new LesionList(this.#part(".viewer-lesions"), choose, hover);
    this.#panels = new Panels(root.querySelectorAll(".viewer-panel"), this.#toolbar);
    this.#measuring = this.#makeMeasuring();
    listenToKeys(this.#part(".viewer"), this.#picture, this.#actions, () => this.#screen.tool);
    this.#screen.addEventListener("choose", ({ detail }) => choose(detail.id));
    this.#screen.addEventListener("hover", ({ detail }) => hover(detail.id));
    this.#screen.addEventListener("view", () => this.#showState());
    this.#part(".viewer").hidden = true;
  }

  get study() {
    return this.#study;
  }

  get viewport() {
    return this.#screen.viewport;
  }

  // The element in which an editor of outlines shows its buttons.
  get editorBar() {
    return this.#part(".viewer-editor");
  }

  // Show a study as a whole, with all of its lesions; null clears the viewer.
  show(study) {
    this.use(null, null);
    this.#panels.close();
    this.#study = study;
    this.#selected = null;
    this.#measuring.open(study);
    this.#visibility = study && new Visibility(study);
    this.#described = "";
    this.#part(".viewer").hidden = study === null;
    this.#list.open(study, this.#measuring.scale);
    this.#screen.style.isDrawn = true;
    if (study !== null) this.#part(".viewer").style.setProperty("--aspect", study.width / study.height);
    this.#screen.open(study, this.#measuring.scale);
    if (study === null) {
      this.dispatchEvent(new CustomEvent("shown", { detail: { hidden: 0, total: 0 } }));
      return;
    }
    this.#filters.open(study, this.#visibility);
    for (const [selector, words] of Object.entries(notesOf(study))) this.#write(selector, words);
    this.#part(".viewer-caution").classList.toggle("withheld", study.isWithheld);
    this.#part(".viewer-lesions").hidden = study.lesions.length === 0;
    this.#picture.ariaLabel = message("name", { name: study.name });
    this.#part(".viewer-original canvas").ariaLabel = message("original", { name: study.name });
    this.#filter();
  }

  // Select a lesion and bring it into view. Null selects nothing, and so does one that is hidden.
  select(id) {
    const lesion = this.#visibility?.shown.find((each) => each.id === id) ?? null;
    if ((lesion?.id ?? null) === this.#selected) return;
    this.#selected = lesion?.id ?? null;
    this.#list.select(this.#selected);
    this.#screen.mark({ selected: this.#selected });
    if (lesion !== null) this.reveal(lesion.box);
    this.announce(lesion === null ? message("deselected") : this.#told(lesion));
  }

  // Bring a box of the image, XYXY, into view.
  reveal(box) {
    this.#screen.glide.to(this.viewport.showing(box));
  }

  // Show a box of the image, XYXY, large.
  enlarge(box) {
    this.#screen.glide.to(this.viewport.around(box));
  }

  // Zoom and pan together with another viewer from now on; null ends that.
  linkWith(viewer) {
    this.#link.to(viewer === null ? null : viewer.#link);
  }

  // Return a PNG of the image with the lesions that are shown, numbered.
  picture({ maxSide }) {
    return pictureOf(this.#study, this.#visibility.shown, this.#screen.style, maxSide);
  }

  // Give the picture's taps, drags and keys to a tool; null gives them back. `edited` is the id of a
  // lesion that is not drawn meanwhile, or null.
  use(tool, edited) {
    if (this.#screen.tool === this.#measuring.ruler && tool !== this.#measuring.ruler) this.#measuring.ruler.clear();
    this.#screen.use(tool, edited);
    this.#part(".viewer-hint").hidden = tool !== this.#measuring.ruler;
    this.#showState();
  }

  focus() {
    this.#picture.focus({ preventScroll: true });
  }

  invalidate() {
    this.#screen.invalidate();
  }

  // Tell this to a person who uses a screen reader.
  announce(words) {
    this.#part(".viewer-said").textContent = words;
  }

  release() {
    this.linkWith(null);
    this.#screen.release();
    this.#root.replaceChildren();
  }

  get #picture() {
    return this.#part(".viewer-picture");
  }

  #part(selector) {
    return this.#root.querySelector(selector);
  }

  #write(selector, words) {
    this.#part(selector).textContent = words;
    this.#part(selector).hidden = words === "";
  }

  // What buttons and keys do.
  #actions = {
    zoomIn: () => this.#screen.glide.to(this.viewport.zoomed(ZOOM_STEP)),
    zoomOut: () => this.#screen.glide.to(this.viewport.zoomed(1 / ZOOM_STEP)),
    fit: () => this.#screen.glide.to(this.viewport.whole),
    actualSize: () => this.#screen.glide.to(this.viewport.zoomed(devicePixelRatio / this.viewport.scale)),
    pan: (right, down) => this.viewport.panBy(right, down),
    overlay: () => this.#visibility.total > 0 && this.#appearance.switchOverlay(),
    style: () => this.#visibility.total > 0 && this.#appearance.switchStyle(),
    original: () => this.#appearance.switchOriginal(),
    ruler: () => this.#switchRuler(),
    scale: () => this.#panels.toggle("scale") && this.#measuring.ask(),
    help: () => this.#panels.toggle("help"),
    next: () => this.#step(1),
    previous: () => this.#step(-1),
    escape: () => this.#escape(),
  };

  #makeMeasuring() {
    const measuring = new Measuring(this.#part(".viewer-scale"), this.viewport, (words) => this.announce(words));
    measuring.addEventListener("change", () => this.invalidate());
    measuring.addEventListener("quit", () => this.#switchRuler());
    measuring.addEventListener("draw", () => this.#drawScale());
    measuring.addEventListener("ask", () => this.#actions.scale());
    measuring.addEventListener("scale", () => {
      this.#list.measure();
      this.#panels.close();
      if (this.#screen.tool === this.#measuring.ruler) this.use(null, null);
      else this.#showState();
      this.invalidate();
      this.dispatchEvent(new Event("scale"));
    });
    return measuring;
  }

  // Let a person draw a line over the picture, and ask for its length then.
  #drawScale() {
    if (this.#screen.tool !== null && this.#screen.tool !== this.#measuring.ruler) return;
    this.#panels.close();
    if (this.#screen.tool === null) this.#switchRuler();
    else this.focus();
  }

  // What a person selects, the page is told.
  #choose(id) {
    if (id === this.#selected) return;
    this.select(id);
    this.dispatchEvent(new CustomEvent("select", { detail: { id } }));
  }

  #hover(id) {
    this.#list.hover(id);
    this.#screen.mark({ hovered: id });
  }

  // Select the next shown lesion (1) or the one before (-1).
  #step(way) {
    const { shown } = this.#visibility;
    if (shown.length === 0) return;
    const now = shown.findIndex(({ id }) => id === this.#selected);
    const next = now < 0 ? (way > 0 ? 0 : shown.length - 1) : (now + way + shown.length) % shown.length;
    this.#choose(shown[next].id);
  }

  #escape() {
    if (this.#panels.close()) return true;
    if (this.#screen.tool === this.#measuring.ruler) this.#switchRuler();
    else if (this.#selected !== null) this.#choose(null);
    else return false;
    return true;
  }

  // Show what the visibility says. A lesion that is hidden is not selected.
  #filter() {
    const { shown, hidden, total } = this.#visibility;
    this.#list.filter(shown);
    this.#filters.tell();
    this.#screen.draw(shown);
    if (this.#selected !== null && !shown.some(({ id }) => id === this.#selected)) this.#choose(null);
    this.#showState();
    this.dispatchEvent(new CustomEvent("shown", { detail: { hidden, total } }));
  }

  #switchRuler() {
    const { tool } = this.#screen;
    if (tool !== null && tool !== this.#measuring.ruler) return; // an outline is being edited
    this.#measuring.isScaling = false;
    this.use(tool === null ? this.#measuring.ruler : null, null);
    this.announce(message(tool === null ? "ruler.start" : "ruler.end"));
    if (tool === null) this.focus();
  }

  // Show the state in the buttons, and in words.
  #showState() {
    if (this.#study === null) return;
    const { viewport, style, tool } = this.#screen;
    this.#toolbar.show({
      zoom: viewport.scale / devicePixelRatio,
      isFit: viewport.isFit,
      isMost: viewport.scale >= viewport.most,
      style,
      isOriginalShown: this.#appearance.isOriginalShown,
      isRuling: tool === this.#measuring.ruler,
      isEditing: tool !== null && tool !== this.#measuring.ruler,
      hasScale: this.#measuring.scale.millimetres !== null,
      hasLesions: this.#visibility.total > 0,
    });
    this.#describe();
  }

  // Write what the picture shows: over it where something is hidden, and all of it for a screen reader.
  #describe() {
    const { isDrawn } = this.#screen.style;
    const { hidden, total, sentence } = this.#visibility;
    const state = `${isDrawn} ${sentence}`;
    if (this.#described === state) return; // while the picture only moves
    this.#described = state;
    this.#write(".viewer-chip", !isDrawn && total > 0 ? message("off") : hidden > 0 ? sentence : "");
    this.#part(".viewer-picture canvas").ariaLabel = described(this.#study, this.#visibility, isDrawn);
  }

  #told(lesion) {
    const measurements = this.#measuring.sentence(lesion);
    return message("selected", { ...words(lesion), total: this.#visibility.total, measurements });
  }
}
