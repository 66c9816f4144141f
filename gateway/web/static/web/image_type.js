// What a file is by its first bytes, whatever its name says.
const READ_BYTES = 160;
const HEIF_BRANDS = new Set(["heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"]);

// Return why this file is not sent, as the key of a message; "" for what may be an image. The
// service itself decides about the rest.
export async function refusalOf(file) {
  const bytes = new Uint8Array(await file.slice(0, READ_BYTES).arrayBuffer());
  const letters = (from, to) => String.fromCharCode(...bytes.slice(from, to));
  const brand = letters(4, 8) === "ftyp" ? letters(8, 12) : "";
  if (HEIF_BRANDS.has(brand) || isHeic(file)) return "refused.heic";
  if (brand.startsWith("avi") || file.type === "image/avif") return "refused.avif";
  if (brand || file.type.startsWith("video/")) return "refused.video";
  if (letters(128, 132) === "DICM" || file.type === "application/dicom") return "refused.dicom";
  if (letters(0, 5) === "%PDF-" || file.type === "application/pdf") return "refused.pdf";
  return file.type && !file.type.startsWith("image/") ? "refused.type" : "";
}

function isHeic({ name, type }) {
  return /^image\/hei[cf]/.test(type) || /\.hei[cf]$/i.test(name);
}
