// Return a fraction as percent with one decimal, rounded half up from its decimal number:
// 0.9245 is "92.5 %". Binary arithmetic would make 92.4 of it.
export function percent(fraction) {
  if (fraction < 1e-6) return "0.0 %"; // String() would write it with an exponent
  const [whole, decimals = ""] = String(fraction).split(".");
  const digits = (whole + decimals).padEnd(whole.length + 4, "0");
  const end = whole.length + 3; // thousandths of the fraction are tenths of a percent
  const tenths = Number(digits.slice(0, end)) + (digits[end] >= "5" ? 1 : 0);
  return `${Math.floor(tenths / 10)}.${tenths % 10} %`;
}
