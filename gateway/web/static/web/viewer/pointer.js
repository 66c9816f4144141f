const DOUBLE_TAP_MS = 320;
const TAP_REACH = { mouse: 4, pen: 6, touch: 10 }; // CSS pixels that a tap may move
const DOUBLE_TAP_REACH = 28;
const WHEEL_PAUSE_MS = 250;

// Tells the gestures on an element: mouse, pen and touch. Points are [right, down] in device pixels
// from the element's upper left corner.
//
// `actions` has: pan(right, down); zoom(factor, point); canZoomOut(); tap(point, kind);
// doubleTap(point); hover(point or null, kind); and for tools grab(point, kind), which returns whether
// it takes the drag, with drag(point) and drop(isCancelled) after it.
export class Pointer {
  #element;
  #actions;
  #points = new Map();
  #start = null;
  #isTap = false;
  #isGrabbed = false;
  #lastTap = null;
  #lastWheel = -Infinity;

  constructor(element, actions) {
    this.#element = element;
    this.#actions = actions;
    element.addEventListener("pointerdown", (event) => this.#down(event));
    element.addEventListener("pointermove", (event) => this.#move(event));
    element.addEventListener("pointerup", (event) => this.#up(event));
    element.addEventListener("pointercancel", (event) => this.#cancel(event));
    element.addEventListener("pointerleave", () => this.#points.size === 0 && actions.hover(null, "mouse"));
    element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  #pointOf({ clientX, clientY }) {
    const { left, top } = this.#element.getBoundingClientRect();
    return [(clientX - left) * devicePixelRatio, (clientY - top) * devicePixelRatio];
  }

  #down(event) {
    if (event.pointerType === "mouse" && event.button > 1) return;
    if (event.button === 1) event.preventDefault(); // the browser's own scrolling
    this.#element.setPointerCapture(event.pointerId);
    const point = this.#pointOf(event);
    this.#points.set(event.pointerId, point);
    this.#isTap = this.#points.size === 1 && event.button === 0;
    this.#start = point;
    if (this.#isGrabbed) this.#release(true); // a second finger
    this.#isGrabbed = this.#isTap && this.#actions.grab(point, event.pointerType);
  }

  #move(event) {
    const point = this.#pointOf(event);
    const before = this.#points.get(event.pointerId);
    if (before === undefined) {
      if (this.#points.size === 0) this.#actions.hover(point, event.pointerType);
      return;
    }
    if (this.#isTap && distance(point, this.#start) <= reachOf(event.pointerType)) return;
    this.#isTap = false;
    const middle = middleOf(this.#points);
    const spread = spreadOf(this.#points);
    this.#points.set(event.pointerId, point);
    if (this.#isGrabbed) {
      this.#actions.drag(point);
      return;
    }
    const moved = middleOf(this.#points);
    this.#actions.pan(middle[0] - moved[0], middle[1] - moved[1]);
    if (spread > 0) this.#actions.zoom(spreadOf(this.#points) / spread, moved);
  }

  #up(event) {
    if (!this.#points.delete(event.pointerId)) return;
    const point = this.#pointOf(event);
    const isTap = this.#isTap;
    this.#isTap = false;
    if (this.#isGrabbed) this.#release(isTap);
    if (isTap) this.#tap(point, event);
  }

  #cancel(event) {
    this.#points.delete(event.pointerId);
    this.#isTap = false;
    if (this.#isGrabbed) this.#release(true);
  }

  #release(isCancelled) {
    this.#isGrabbed = false;
    this.#actions.drop(isCancelled);
  }

  #tap(point, { timeStamp, pointerType }) {
    const last = this.#lastTap;
    const reach = DOUBLE_TAP_REACH * devicePixelRatio;
    if (last !== null && timeStamp - last.timeStamp < DOUBLE_TAP_MS && distance(point, last.point) < reach) {
      this.#lastTap = null;
      this.#actions.doubleTap(point, pointerType);
      return;
    }
    this.#lastTap = { timeStamp, point };
    this.#actions.tap(point, pointerType);
  }

  // A page scrolls on where the whole image is shown, unless the same turn of the wheel has zoomed.
  #wheel(event) {
    const isTurning = event.timeStamp - this.#lastWheel < WHEEL_PAUSE_MS;
    if (event.deltaY > 0 && !this.#actions.canZoomOut() && !isTurning) return;
    event.preventDefault();
    this.#lastWheel = event.timeStamp;
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 33 : 1;
    const speed = event.ctrlKey ? 0.01 : 0.0016; // a pinch on a trackpad has small numbers
    const delta = Math.min(Math.max(event.deltaY * lines, -240), 240);
    this.#actions.zoom(Math.exp(-delta * speed), this.#pointOf(event));
  }
}

function reachOf(kind) {
  return (TAP_REACH[kind] ?? TAP_REACH.touch) * devicePixelRatio;
}

function distance(a, b) {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}

function middleOf(points) {
  const all = [...points.values()];
  return [0, 1].map((axis) => all.reduce((sum, point) => sum + point[axis], 0) / all.length);
}

// Return how far two fingers are apart; 0 with another number of them.
function spreadOf(points) {
  return points.size === 2 ? distance(...points.values()) : 0;
}
