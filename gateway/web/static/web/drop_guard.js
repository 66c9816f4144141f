"use strict";

// A file that is dropped on a page would otherwise be opened in place of it. Not a module: it runs
// before the page is shown.
function guard(event) {
  const isField = event.target.matches?.("input:not([type=file]), textarea");
  if (!isField || event.dataTransfer.types.includes("Files")) event.preventDefault();
}

document.addEventListener("dragover", guard);
document.addEventListener("drop", guard);
