// Browsers read the orientation of an image from some kinds of metadata and not from others: Chromium
// turns a JPEG by its Exif, and no WebP. Without metadata each of them shows the picture as it is stored.
const PNG = [0x89, 0x50, 0x4e, 0x47];
const PNG_METADATA = new Set(["eXIf", "tEXt", "zTXt", "iTXt"]);
const WEBP_METADATA = new Set(["EXIF", "XMP "]);

// Return the parts of a JPEG, PNG, WebP or BMP file without metadata that may tell an orientation, to
// make a Blob of. Colour profiles stay. Raises where the file is of another kind, or damaged.
export function withoutMetadata(bytes) {
  const partsOf = readerOf(bytes);
  if (partsOf === null) throw new Error("The browser does not show images of this kind.");
  return partsOf(bytes);
}

// Return whether the first 12 bytes are those of a file that `withoutMetadata` takes. Browsers show
// images of further kinds, Safari TIFF, and turn them as they like.
export function isOfKnownKind(bytes) {
  return readerOf(bytes) !== null;
}

function readerOf(bytes) {
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return jpeg;
  if (PNG.every((value, index) => bytes[index] === value)) return png;
  if (letters(bytes, 0) === "RIFF" && letters(bytes, 8) === "WEBP") return webp;
  if (bytes[0] === 0x42 && bytes[1] === 0x4d) return (whole) => [whole];
  return null;
}

// Leave out the segments APP1, which hold Exif and XMP (ISO/IEC 10918-1, B.1.1; CIPA DC-008, 4.7).
function jpeg(bytes) {
  const kept = [bytes.subarray(0, 2)];
  let at = 2;
  while (at + 4 <= bytes.length) {
    if (bytes[at] !== 0xff) throw damaged();
    if (bytes[at + 1] === 0xff) {
      at += 1; // a fill byte
      continue;
    }
    const marker = bytes[at + 1];
    if (marker === 0xda) return [...kept, bytes.subarray(at)]; // the pixels
    const hasLength = marker !== 0x01 && (marker < 0xd0 || marker > 0xd8);
    const end = at + 2 + (hasLength ? (bytes[at + 2] << 8) + bytes[at + 3] : 0);
    if (marker !== 0xe1) kept.push(bytes.subarray(at, end));
    at = end;
  }
  throw damaged();
}

// Leave out the chunks with Exif and text, which may hold Exif and XMP (PNG specification, 5.3, 11.3).
function png(bytes) {
  const view = viewOf(bytes);
  const kept = [bytes.subarray(0, 8)];
  for (let at = 8; at + 12 <= bytes.length; ) {
    const end = at + 12 + view.getUint32(at);
    if (!PNG_METADATA.has(letters(bytes, at + 4))) kept.push(bytes.subarray(at, end));
    at = end;
  }
  return kept;
}

// Leave out the chunks with Exif and XMP. What the header says of them and of the file's length then
// contradicts the content, so both are written anew (RFC 9649, 2.3, 2.4 and 2.7).
function webp(bytes) {
  const view = viewOf(bytes);
  const chunks = [];
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at + 4, true);
    const end = at + 8 + size + (size % 2);
    if (!WEBP_METADATA.has(letters(bytes, at))) chunks.push(bytes.slice(at, end));
    at = end;
  }
  const extended = chunks.find((chunk) => letters(chunk, 0) === "VP8X");
  if (extended) extended[8] &= ~0x0c;
  const header = bytes.slice(0, 12);
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 4);
  viewOf(header).setUint32(4, length, true);
  return [header, ...chunks];
}

function letters(bytes, at) {
  return String.fromCharCode(...bytes.subarray(at, at + 4));
}

function viewOf(bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function damaged() {
  return new Error("The image is damaged.");
}
