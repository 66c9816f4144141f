const MOST_IMAGES = 20;
// Control characters, and invisible ones that can turn the order of letters around.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}]/gu;

// Return a file's name as it is shown.
export function shownName(name) {
  return name.replace(UNSEEN, "_");
}

// Return the images among the chosen files, and the rest with the reason why it is not taken.
export function sortFiles(files) {
  const images = [];
  const refused = [];
  for (const file of files) {
    if (file.type && !file.type.startsWith("image/")) {
      refused.push({ name: shownName(file.name), reason: "it is not an image" });
    } else if (images.length === MOST_IMAGES) {
      refused.push({ name: shownName(file.name), reason: `at most ${MOST_IMAGES} images are taken at once` });
    } else {
      images.push(file);
    }
  }
  return { images, refused };
}

// Return what was dropped in the same form. A browser shows a folder as a file without content.
export function sortDropped(transfer) {
  const entries = [...transfer.items].filter((item) => item.kind === "file");
  const folders = entries.map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry?.isDirectory);
  const names = new Set(folders.map((folder) => folder.name));
  const { images, refused } = sortFiles([...transfer.files].filter((file) => !names.has(file.name)));
  const reason = "it is a folder; drop the images in it";
  refused.push(...[...names].map((name) => ({ name: shownName(name), reason })));
  if (!images.length && !refused.length) refused.push({ name: "What was dropped", reason: "it holds no file" });
  return { images, refused };
}

// Return a local time as "2026-11-25 20:16:03".
export function clock(time) {
  const two = (number) => String(number).padStart(2, "0");
  const day = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join("-");
  return `${day} ${[time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(":")}`;
}

// Return a name for a download that tells the image, the time and the request:
// "scan_2026-11-25_20-16-03_1f3a9c2e_overlay.jpg".
export function downloadName(fileName, time, requestId, ending) {
  const stem = shownName(fileName.replace(/\.[^.]*$/, "")).replace(/[\\/:*?"<>|]/g, "_");
  const bounded = [...stem.replace(/^[.\s]+/, "")].slice(0, 80).join("").trim() || "image";
  const stamp = clock(time).replace(" ", "_").replaceAll(":", "-");
  return `${bounded}_${stamp}_${requestId.slice(0, 8)}_${ending}`;
}
