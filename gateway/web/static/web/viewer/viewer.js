import { copyOf } from "../elements.js";
import { AdjustmentPanel } from "./adjustment_panel.js";
import { Adjustments } from "./adjustments.js";
import { Annotations, neighbourOf } from "./annotations.js";
import { Appearance } from "./appearance.js";
import { Captions } from "./captions.js";
import { Filters } from "./filters.js";
import { listenToKeys } from "./keys.js";
import { LesionList } from "./lesion_list.js";
import { Link } from "./link.js";
import { Measuring } from "./measuring.js";
import { message } from "./messages.js";
import { told } from "./notes.js";
import { Panels } from "./panels.js";
import { pictureOf } from "./picture.js";
import { Screen } from "./screen.js";
import { Toolbar } from "./toolbar.js";
import { Visibility } from "./visibility.js";

const ZOOM_STEP = 1.4; // of a button or a key

// Shows a study: the image with its lesions, the list of these, what is measured, and what a reviewer
// says. Dispatches "select" and "hover" with the { id } of the lesion that a person chose or points at,
// or null, "shown" with { hidden, total } when what is visible has changed, and "scale" when the person
// gives another one.
export class Viewer extends EventTarget {
  #root;
  #study = null;
  #visibility = null;
  #selected = null;
  #annotations = null;
  #captions;
  #screen;
  #link;
  #appearance;
  #adjustments;
  #adjustmentPanel;
  #toolbar;
  #filters;
  #list;
  #panels;
  #measuring;

  // `root` is an empty element, which the viewer fills. Viewers with the same `adjustments` show their
  // pictures alike.
  constructor(root, adjustments = new Adjustments()) {
    super();
    this.#root = root;
    this.#adjustments = adjustments;
    root.replaceChildren(copyOf("viewer"));
    this.#screen = new Screen(this.#part(".viewer-stage"), adjustments);
    this.#link = new Link(this.viewport);
    const announce = (words) => this.announce(words);
    const part = (selector) => this.#part(selector);
    this.#appearance = new Appearance(this.#screen, part(".viewer-original"), announce, () => this.#showState());
    this.#toolbar = new Toolbar(part(".viewer-bar"), this.#actions, (opacity) => this.#appearance.setOpacity(opacity));
    this.#adjustmentPanel = new AdjustmentPanel(part, adjustments, announce);
    adjustments.addEventListener("change", () => this.#showState());
    this.#captions = new Captions(part);
    this.#filters = new Filters(part, () => this.#filter());
    const choose = (id) => this.#choose(id);
    const hover = (id) => {
      this.hover(id);
      this.dispatchEvent(new CustomEvent("hover", { detail: { id } }));
    };
    this.#list = new LesionList(this.#part(".viewer-lesions"), choose, hover);
    this.#panels = new Panels(root.querySelectorAll(".viewer-panel"), this.#toolbar);
    this.#measuring = this.#makeMeasuring();
    listenToKeys(part(".viewer"), part(".viewer-picture"), this.#actions, () => this.#screen.tool);
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

  // The lesions of the model that the filter shows.
  get shown() {
    return this.#visibility.shown;
  }

  // Return an element that is left to others: "editor" below the picture; of the list's column "lead" in
  // its head, "more" below the list and "foot", which is always in sight.
  place(name) {
    return this.#part(`.viewer-${name}`);
  }

  // Return the element in the row of a lesion that is left to others, as long as the study is shown.
  placeOf(id) {
    return this.#list.placeOf(id);
  }

  // Show a study as a whole, with all of its lesions; null clears the viewer.
  show(study) {
    this.use(null, null);
    this.#panels.close();
    this.#adjustments.reset(); // nobody takes the next image for one that was taken like this
    this.#study = study;
    this.#selected = null;
    this.#measuring.open(study);
    this.#visibility = study && new Visibility(study);
    this.#annotations = new Annotations(study);
    this.#part(".viewer").hidden = study === null;
    this.#list.open(study, this.#measuring.scale);
    this.#screen.style.isDrawn = true;
    if (study !== null) this.#part(".viewer").style.setProperty("--aspect", study.width / study.height);
    this.#screen.open(study, this.#measuring);
    if (study === null) {
      this.dispatchEvent(new CustomEvent("shown", { detail: { hidden: 0, total: 0 } }));
      return;
    }
    this.#filters.open(study, this.#visibility);
    this.#captions.open(study);
    this.#filter();
  }

  // Show what a reviewer says about the study, in the form of `Annotations`; without it nothing is said.
  annotate(review) {
    this.#annotations = new Annotations(this.#study, review);
    this.#filter();
  }

  // Select a lesion and bring it into view. Null selects nothing, and so does one that is hidden.
  select(id) {
    const lesion = this.#steps.find((each) => each.id === id) ?? null;
    if ((lesion?.id ?? null) === this.#selected) return;
    this.#selected = lesion?.id ?? null;
    this.#list.select(this.#selected);
    this.#screen.mark({ selected: this.#selected });
    if (lesion !== null) this.#screen.glide.to(this.viewport.showing(lesion.box));
    this.announce(lesion === null ? message("deselected") : told(lesion, this.#visibility.total, this.#measuring));
  }

  // Mark a lesion as the pointer does; null marks none.
  hover(id) {
    this.#list.hover(id);
    this.#screen.mark({ hovered: id });
  }

  // Show all lesions again, whatever the filter hides.
  showAll() {
    this.#filters.showAll();
  }

  // Move to the view that `viewOf` returns for the viewport, in the layout as it is now.
  glide(viewOf) {
    this.#screen.glideTo(viewOf);
  }

  // Zoom and pan together with another viewer from now on; null ends that.
  linkWith(viewer) {
    this.#link.to(viewer === null ? null : viewer.#link);
  }

  // Return a PNG of the image with the lesions that are shown, numbered, and what the reviewer says.
  picture(options) {
    return pictureOf(this.#study, this.#visibility.shown, this.#annotations, this.#screen.style, options);
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
    this.#part(".viewer-picture").focus({ preventScroll: true });
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

  #part(selector) {
    return this.#root.querySelector(selector);
  }

  // What buttons and keys do.
  #actions = {
    zoomIn: () => this.#screen.glide.to(this.viewport.zoomed(ZOOM_STEP)),
    zoomOut: () => this.#screen.glide.to(this.viewport.zoomed(1 / ZOOM_STEP)),
    fit: () => this.#screen.glide.to(this.viewport.whole),
    actualSize: () => this.#screen.glide.to(this.viewport.zoomed(devicePixelRatio / this.viewport.scale)),
    pan: (right, down) => this.viewport.panBy(right, down),
    overlay: () => this.#hasLesions && this.#appearance.switchOverlay(),
    style: () => this.#hasLesions && this.#appearance.switchStyle(),
    original: () => this.#appearance.switchOriginal(),
    picture: () => this.#panels.toggle("picture"),
    green: () => this.#adjustmentPanel.switchGreen(),
    ruler: () => this.#switchRuler(),
    scale: () => this.#panels.toggle("scale") && this.#measuring.ask(),
    help: () => this.#panels.toggle("help"),
    next: () => this.#step(1),
    previous: () => this.#step(-1),
    escape: () => this.#escape(),
  };

  #makeMeasuring() {
    const measuring = new Measuring((selector) => this.#part(selector), this.viewport, (words) => this.announce(words));
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

  // The lesions that can be selected, in the order of the keys.
  get #steps() {
    return this.#study === null ? [] : this.#annotations.after(this.#visibility.shown);
  }

  get #hasLesions() {
    return this.#visibility.total + this.#annotations.missed.length > 0;
  }

  // Select the next shown lesion (1) or the one before (-1).
  #step(way) {
    const next = neighbourOf(this.#steps, this.#selected, way);
    if (next !== null) this.#choose(next.id);
  }

  #escape() {
    if (this.#panels.close()) return true;
    if (this.#screen.tool === this.#measuring.ruler) this.#switchRuler();
    else if (this.#selected !== null) this.#choose(null);
    else return false;
    return true;
  }

  // Show what the visibility and the annotations say. A lesion that is hidden is not selected.
  #filter() {
    const { shown, hidden, total } = this.#visibility;
    const lesions = this.#annotations.over(shown);
    this.#list.annotate(this.#annotations);
    this.#list.filter(shown);
    this.#filters.tell();
    this.#screen.draw(lesions);
    if (this.#selected !== null && !lesions.some(({ id }) => id === this.#selected)) this.#choose(null);
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
    this.#toolbar.show(this.#screen, this.#appearance, this.#adjustments, this.#measuring, this.#hasLesions);
    this.#captions.tell(this.#study, this.#visibility, this.#annotations, this.#screen.style.isDrawn);
  }
}
