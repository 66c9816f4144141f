// Return a fraction as percent with one decimal, as pipeline/scores.py writes it on the picture:
// rounded half up by the number's own digits, and below 100 % unless it is 1.
export function percent(fraction) {
  if (fraction < 0.0001) return "0.0 %"; // so small a number may be written with an exponent
  const [whole, decimals = ""] = String(fraction).split(".");
  const tenths = Number(whole + decimals.padEnd(3, "0").slice(0, 3)) + (decimals[3] >= "5" ? 1 : 0);
  const shown = fraction < 1 ? Math.min(tenths, 999) : tenths;
  return `${Math.floor(shown / 10)}.${shown % 10} %`;
}
