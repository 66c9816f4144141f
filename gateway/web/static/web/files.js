import { refusalOf } from "./image_type.js";
import { written } from "./language.js";
import { message } from "./messages.js";

export const MOST_IMAGES = 50;
// Control characters, and invisible ones that can turn the order of letters around.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}]/gu;

// Return a file's name as it is shown.
export function shownName(name) {
  return name.replace(UNSEEN, "_");
}

// Return the images among the chosen files, at most `room`, and the rest with the reason why it is
// not taken. A file that cannot be read is taken: sending it tells what is wrong.
export async function sortFiles(files, room) {
  const images = [];
  const refused = [];
  const reasons = await Promise.all([...files].map((file) => refusalOf(file).catch(() => "")));
  for (const [index, file] of [...files].entries()) {
    const reason = reasons[index] || (images.length === room ? "refused.limit" : "");
    if (!reason) images.push(file);
    else refused.push({ name: shownName(file.name), reason: message(reason, { most: MOST_IMAGES }) });
  }
  return { images, refused };
}

// Return what was dropped in the same form. A browser shows a folder as a file without content.
export async function sortDropped(transfer, room) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const folders = items.map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry?.isDirectory);
  const names = new Set(folders.map((folder) => folder.name));
  const { images, refused } = await sortFiles([...transfer.files].filter((file) => !names.has(file.name)), room);
  const reason = message("refused.folder");
  refused.push(...[...names].map((name) => ({ name: shownName(name), reason })));
  if (!images.length && !refused.length) {
    refused.push({ name: message("refused.nothing"), reason: message("refused.empty") });
  }
  return { images, refused };
}

// Return the pictures of a clipboard under names that tell them apart.
export function pastedImages(transfer, number) {
  return [...transfer.files].map((file, index) => {
    const ending = file.type.split("/")[1] ?? "png";
    return new File([file], message("pasted", { number: number + index, ending }), { type: file.type });
  });
}

// Return a size in bytes as a person reads it.
export function shownSize(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${written(bytes / 1e6, 1)} MB`;
}

// Return a local time as "2026-11-25 20:16:03".
export function clock(time) {
  const two = (number) => String(number).padStart(2, "0");
  const day = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join("-");
  return `${day} ${[time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(":")}`;
}

// Return a name for a download that tells the image, the time and the request:
// "scan_2026-11-25_20-16-03_1f3a9c2e_lesions.png".
export function downloadName(fileName, time, requestId, ending) {
  const stem = shownName(fileName.replace(/\.[^.]*$/, "")).replace(/[\\/:*?"<>|]/g, "_");
  const bounded = [...stem.replace(/^[.\s]+/, "")].slice(0, 80).join("").trim() || "image";
  const stamp = clock(time).replace(" ", "_").replaceAll(":", "-");
  return `${bounded}_${stamp}_${requestId.slice(0, 8)}_${ending}`;
}
