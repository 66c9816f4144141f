export const element = (id) => document.getElementById(id);

// Return a new element with this text; what comes from outside is never markup.
export function text(tag, content, className = "") {
  const created = document.createElement(tag);
  created.textContent = content;
  created.className = className;
  return created;
}

// Return a copy of the <template> with this id.
export function copyOf(id) {
  return element(id).content.cloneNode(true);
}
