// Let a row of the review select its lesion. A press of the pointer does not: a list that grows above the row
// would move it away before the click.
export function selectFrom(row, select) {
  row.addEventListener("click", select, { capture: true }); // before a button brings another part into view
  row.addEventListener("focusin", ({ target }) => target.matches(":focus-visible") && select());
}
