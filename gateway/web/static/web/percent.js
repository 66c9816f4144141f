import { written } from "./language.js";

// Return a fraction as percent with one decimal, with the digits that pipeline/scores.py writes on
// the picture: rounded half up by the number's own digits, and below 100 % unless it is 1.
export function percent(fraction) {
  return `${written(tenths(fraction) / 10, 1)} %`;
}

function tenths(fraction) {
  if (fraction < 0.0001) return 0; // so small a number may be written with an exponent
  const [whole, decimals = ""] = String(fraction).split(".");
  const rounded = Number(whole + decimals.padEnd(3, "0").slice(0, 3)) + (decimals[3] >= "5" ? 1 : 0);
  return fraction < 1 ? Math.min(rounded, 999) : rounded;
}
