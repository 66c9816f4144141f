import { Glide } from "./glide.js";
import { lesionAt } from "./hit.js";
import { paintLengths, paintLines } from "./lines.js";
import { Overview } from "./overview.js";
import { DEFAULT_STYLE, paintDiameter, paintImage, paintLesions, paintNumbers } from "./painter.js";
import { Pointer } from "./pointer.js";
import { Surface } from "./surface.js";
import { Viewport } from "./viewport.js";

const GROUND = "rgb(14 17 20)";
const REACH = { mouse: 9, pen: 12, touch: 20 }; // CSS pixels around a point that a tool takes hold of
const DOUBLE_TAP_ZOOM = 3;
const AT_REST_MS = 120; // after the last movement

// The picture with its lesions, the original beside it and the overview: what is painted, and where a
// person points. Dispatches "choose" and "hover" with the { id } of a lesion or null, and "view" when
// another part of the image is shown.
export class Screen extends EventTarget {
  viewport = new Viewport();
  glide = new Glide(this.viewport);
  style = structuredClone(DEFAULT_STYLE);
  #study = null;
  #measuring = null;
  #adjustments;
  #lesions = [];
  #marked = { selected: null, hovered: null };
  #tool = null;
  #edited = null;
  #rest = 0; // the timer that runs while the picture moves
  #stage;
  #overview;
  #surfaces;

  // `stage` is the element with the panes and the overview, and `adjustments` how the picture is shown.
  constructor(stage, adjustments) {
    super();
    this.#stage = stage;
    this.#adjustments = adjustments;
    this.#overview = new Overview(stage.querySelector(".viewer-overview"), this.viewport, adjustments);
    adjustments.addEventListener("change", () => this.invalidate());
    const panes = [...stage.querySelectorAll(".viewer-pane")];
    const paint = [(context) => this.#paint(context), (context) => this.#paintOriginal(context)];
    this.#surfaces = panes.map((pane, index) => this.#surface(pane, paint[index], index === 0));
    this.viewport.addEventListener("change", () => {
      this.#letScroll();
      this.#move();
      this.dispatchEvent(new Event("view"));
    });
  }

  get tool() {
    return this.#tool;
  }

  // Show a study as a whole, or nothing; `measuring` has the scale and the lines of its image.
  open(study, measuring) {
    this.#study = study;
    this.#measuring = measuring;
    this.#lesions = [];
    this.#marked = { selected: null, hovered: null };
    this.#overview.open(study?.levels ?? null);
    this.glide.stop();
    if (study !== null) this.viewport.open(study.width, study.height);
  }

  // Draw these lesions from now on, the first of them uppermost.
  draw(lesions) {
    this.#lesions = lesions;
    this.invalidate();
  }

  // Mark the lesion that is `selected`, that is `hovered`, or both.
  mark(marked) {
    Object.assign(this.#marked, marked);
    this.invalidate();
  }

  // Give taps, drags and keys to a tool; null gives them back. `edited` is the id of a lesion that is
  // not drawn meanwhile, or null.
  use(tool, edited) {
    this.#tool = tool;
    this.#edited = edited;
    this.#stage.classList.toggle("tool", tool !== null);
    this.#letScroll();
    this.invalidate();
  }

  // Move to the view that `viewOf` returns for the viewport, in the layout as it is now.
  glideTo(viewOf) {
    this.#surfaces.forEach((surface) => surface.measure());
    this.glide.to(viewOf(this.viewport));
  }

  invalidate() {
    this.#surfaces.forEach((surface) => surface.invalidate());
  }

  release() {
    this.glide.stop();
    clearTimeout(this.#rest);
    this.#surfaces.forEach((surface) => surface.release());
  }

  #surface(pane, paint, isMain) {
    new Pointer(pane, this.#gestures);
    const surface = new Surface(pane.querySelector("canvas"), paint, (width, height) => {
      surface.resize(width, height);
      if (isMain) this.viewport.resize(width, height);
    });
    return surface;
  }

  #gestures = {
    pan: (right, down) => {
      this.glide.stop();
      this.viewport.panBy(right, down);
    },
    zoom: (factor, point) => {
      this.glide.stop();
      this.viewport.set(this.viewport.zoomed(factor, point));
    },
    canZoomOut: () => !this.viewport.isFit,
    tap: (point, kind) => {
      if (this.#tool !== null) this.#tool.tap(this.viewport.toImage(point), this.#reach(kind));
      else this.#tell("choose", this.#at(point));
    },
    doubleTap: (point, kind) => {
      if (this.#tool !== null) this.#tool.tap(this.viewport.toImage(point), this.#reach(kind));
      else this.glide.to(this.viewport.isFit ? this.viewport.zoomed(DOUBLE_TAP_ZOOM, point) : this.viewport.whole);
    },
    hover: (point, kind) => {
      if (this.#tool !== null) this.#tool.hover(point === null ? null : this.viewport.toImage(point));
      else if (kind === "mouse") this.#tell("hover", point === null ? null : this.#at(point));
    },
    grab: (point, kind) => this.#tool?.grab(this.viewport.toImage(point), this.#reach(kind)) ?? false,
    drag: (point) => this.#tool?.drag(this.viewport.toImage(point)),
    drop: (isCancelled) => this.#tool?.drop(isCancelled),
  };

  get #drawn() {
    return this.style.isDrawn ? this.#lesions.filter(({ id }) => id !== this.#edited) : [];
  }

  #at(point) {
    return lesionAt(this.#drawn, this.viewport, point, devicePixelRatio)?.id ?? null;
  }

  #tell(kind, id) {
    this.dispatchEvent(new CustomEvent(kind, { detail: { id } }));
  }

  // A finger needs more room than a mouse.
  #reach(kind) {
    return ((REACH[kind] ?? REACH.touch) * devicePixelRatio) / this.viewport.scale;
  }

  #move() {
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => {
      this.#rest = 0;
      this.invalidate();
    }, AT_REST_MS);
    this.invalidate();
  }

  // A finger scrolls the page over a picture that is shown as a whole; else it moves the picture.
  #letScroll() {
    this.#stage.classList.toggle("whole", this.viewport.isFit && this.#tool === null);
  }

  #paint(context) {
    if (this.#study === null) return;
    const { viewport } = this;
    const lesions = this.#drawn;
    paintImage(context, viewport, this.#study.levels, GROUND, this.#adjustments);
    const lines = this.#areLinesShown ? this.#measuring.lines.all : [];
    paintLesions(context, viewport, lesions, this.style, this.#marked, devicePixelRatio, this.#rest !== 0);
    paintLines(context, viewport, lines, devicePixelRatio);
    const taken = paintNumbers(context, viewport, lesions, this.style, this.#marked, devicePixelRatio);
    const selected = lesions.find(({ id }) => id === this.#marked.selected);
    if (selected?.measurements?.line && this.#tool === null) {
      const words = this.#measuring.scale.length(selected.measurements.diameter);
      taken.push(...paintDiameter(context, viewport, selected, words, taken, devicePixelRatio));
    }
    paintLengths(context, viewport, lines, this.#measuring.scale, taken, devicePixelRatio);
    this.#tool?.paint(context, devicePixelRatio);
    this.#overview.paint();
  }

  // Lines are hidden with the lesions, unless the ruler is in use.
  get #areLinesShown() {
    return this.#tool === null ? this.style.isDrawn : this.#tool === this.#measuring.ruler;
  }

  // The original is as it was taken.
  #paintOriginal(context) {
    if (this.#study !== null) paintImage(context, this.viewport, this.#study.levels, GROUND, null);
  }
}
