// Return the runs of a mask in COCO's compressed run-length encoding: pixel counts down the columns,
// of background and mask in turn, background first. Raises where they do not fill `size` pixels.
// The encoding is that of rleFrString in pycocotools' maskApi.c.
export function runsOf(counts, size) {
  const runs = [];
  let total = 0;
  for (let at = 0; at < counts.length; ) {
    let value = 0;
    let weight = 1;
    let hasMore = true;
    while (hasMore) {
      const digit = counts.charCodeAt(at) - 48;
      if (!(digit >= 0 && digit < 64)) throw new Error("The mask is not in COCO's run-length encoding.");
      at += 1;
      hasMore = (digit & 32) !== 0;
      // By multiplication: a shift would cut a number of more than 32 bits.
      value += (digit & 31) * weight;
      weight *= 32;
      if (!hasMore && (digit & 16) !== 0) value -= weight;
    }
    if (runs.length > 2) value += runs[runs.length - 2];
    if (!(value >= 0)) throw new Error("The mask has a run of a negative length.");
    runs.push(value);
    total += value;
  }
  if (total !== size) throw new Error("The mask does not have the size of its image.");
  return runs;
}
