const PREFIX = "page-"; // an id begins with a letter or digit

// Return a new random id of an examination: the images that are sent with it count together where
// the service compares images. It names nobody, and the service keeps only a digest of it.
export function newExaminationId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // randomUUID needs HTTPS
  return PREFIX + [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
