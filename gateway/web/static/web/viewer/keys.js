const STEP = 60; // CSS pixels that an arrow pans

// The keys of the viewer, with the names of its actions. They hold while the focus is in the viewer,
// and not while it is in a field.
const ACTIONS = {
  "+": "zoomIn",
  "=": "zoomIn",
  "-": "zoomOut",
  "_": "zoomOut",
  "0": "fit",
  "1": "actualSize",
  "o": "overlay",
  "f": "style",
  "b": "original",
  "i": "picture",
  "g": "green",
  "m": "ruler",
  "s": "scale",
  "n": "next",
  "p": "previous",
  "?": "help",
  "Escape": "escape",
};

export const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// Do what a key asks for. `actions` has the functions named above and pan(right, down); `tool` is
// the present tool or null, which gets the keys of the picture first.
export function listenToKeys(root, picture, actions, toolOf) {
  root.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || isField(event)) return;
    const isOnPicture = picture.contains(event.target);
    if (isOnPicture && toolOf()?.key(event)) {
      event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey) return;
    const arrow = isOnPicture ? ARROWS[event.key] : undefined;
    const name = ACTIONS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (arrow) actions.pan(arrow[0] * STEP * devicePixelRatio, arrow[1] * STEP * devicePixelRatio);
    else if (!name || actions[name]() === false) return;
    event.preventDefault();
  });
}

// A slider or a checkbox has keys of its own, but no letters.
function isField({ target, key }) {
  if (target.matches("textarea, select") || target.isContentEditable) return key !== "Escape";
  if (!target.matches("input")) return false;
  if (target.matches("[type=range], [type=checkbox]")) return !/^[a-z?]$/i.test(key) && key !== "Escape";
  return key !== "Escape";
}
