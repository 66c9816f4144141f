import { language } from "./language.js";

// Return what a class is called in the page's language: the bundle's translation with the model's own
// label, or that alone where there is none. What is sent is always the label.
export function classNameOf({ labels }, label) {
  const name = labels?.[label]?.[language] ?? label;
  return name === label ? label : `${name} (${label})`;
}
