import { copyOf, text } from "./elements.js";
import { clock, downloadName } from "./files.js";
import { percent } from "./percent.js";
import { consequence, reasonsOf } from "./quality.js";

// The service's answer on one image, as nodes that name this image throughout. They are complete
// before any of them is shown.
export class Findings {
  #urls = [];

  // `body` is the answer as it came, `name` that of the image's file, `time` when it came.
  constructor(body, name, time) {
    const answer = JSON.parse(body);
    this.nodes = copyOf("findings");
    this.headline = headline(answer);
    this.isOfDemo = isDemo(answer.model.name);
    this.isWithheld = isWithheld(answer);
    this.isUngradable = isUngradable(answer);
    const part = (selector) => this.nodes.querySelector(selector);
    part(".count").textContent = this.headline;
    part(".demo-answer").hidden = !this.isOfDemo;
    part(".counts").replaceChildren(...classCounts(answer));
    part(".counts").hidden = this.isWithheld;
    part("table").hidden = this.isWithheld;
    part("caption").textContent = `Lesions in ${name}, by falling score`;
    part(".lesions").replaceChildren(...answer.detections.map((detection) => lesionRow(detection, answer.image)));
    part(".provenance").textContent = provenance(answer, time);
    tellHidden(part(".hidden-findings"), answer);
    tellQuality(part, answer);
    const fileName = (ending) => downloadName(name, time, answer.request_id, ending);
    // The record is the answer itself, byte for byte.
    const record = this.#urlOf(new Blob([body], { type: "application/json" }));
    offer(part(".save-json"), record, fileName("record.json"), name);
    if (answer.visualization) {
      const picture = this.#urlOf(new Blob([decoded(answer.visualization)], { type: "image/jpeg" }));
      offer(part(".save-overlay"), picture, fileName("overlay.jpg"), name);
      const alt = this.isWithheld ? name : `${name} with the lesions drawn on`;
      showPicture(part(".overlay"), part(".no-overlay"), picture, alt);
    } else {
      part(".no-overlay").hidden = false;
    }
  }

  release() {
    this.#urls.splice(0).forEach((url) => URL.revokeObjectURL(url));
  }

  #urlOf(blob) {
    const url = URL.createObjectURL(blob);
    this.#urls.push(url);
    return url;
  }
}

export function isDemo(modelName) {
  return /demo/i.test(modelName);
}

function headline(answer) {
  if (isWithheld(answer)) return "Not analysed: the image is not good enough";
  const { detections, below_threshold: hidden } = answer;
  const count = detections.length;
  if (count === 0) return hidden > 0 ? "No lesion at or above the chosen threshold" : "No lesion found";
  return count === 1 ? "1 lesion found" : `${count} lesions found`;
}

function isWithheld({ quality }) {
  return quality?.withheld ?? false;
}

function isUngradable({ quality }) {
  return (quality?.reasons.length ?? 0) > 0;
}

// Say why the image is not gradable, and what that means for the result.
function tellQuality(part, answer) {
  if (!isUngradable(answer)) return;
  const { quality } = answer;
  part(".reasons").replaceChildren(...reasonsOf(quality).map((reason) => text("li", reason)));
  part(".consequence").textContent = consequence(quality);
  part(".ungradable").hidden = false;
}

// Say how many findings the chosen threshold hides.
function tellHidden(line, answer) {
  const { options, below_threshold: hidden } = answer;
  if (options.score_threshold === null || isWithheld(answer)) return;
  const findings = hidden === 1 ? "1 more finding is" : `${hidden || "No"} more findings are`;
  line.textContent = `${findings} below the chosen threshold of ${percent(options.score_threshold)}.`;
  line.classList.toggle("warning", hidden > 0);
  line.hidden = false;
}

function classCounts(answer) {
  return Object.entries(answer.metrics.class_distribution).map(([label, number]) =>
    text("li", `${label}: ${number}`, number === 0 ? "none" : ""),
  );
}

function lesionRow(detection, { width, height }) {
  const area = detection.mask_area ?? detection.box_area;
  const row = document.createElement("tr");
  row.append(
    text("td", String(detection.id + 1)),
    text("td", detection.label),
    text("td", percent(detection.score)),
    // In the page's own language: "1.234" would be another number beside "92.5 %".
    text("td", `${Math.round(area).toLocaleString("en")} px`),
    text("td", `${((area / (width * height)) * 100).toFixed(2)} %`),
  );
  return row;
}

function provenance({ model, image, options, request_id: id }, time) {
  const threshold = options.score_threshold;
  return [
    `${clock(time)}`,
    `model ${model.name} ${model.version} (${model.bundle_sha256.slice(0, 12)})`,
    `score threshold ${threshold === null ? "of the model" : percent(threshold)}`,
    `${image.width} × ${image.height} ${image.format}`,
    `request ${id}`,
  ].join(" · ");
}

function offer(link, url, fileName, name) {
  link.href = url;
  link.download = fileName;
  link.ariaLabel = `${link.textContent} of ${name}`;
  link.hidden = false;
}

function showPicture(picture, placeholder, url, alt) {
  picture.addEventListener("error", () => {
    picture.hidden = true;
    placeholder.hidden = false;
  });
  picture.alt = alt;
  picture.src = url;
  picture.hidden = false;
}

function decoded(base64) {
  const letters = atob(base64);
  const bytes = new Uint8Array(letters.length);
  for (let index = 0; index < letters.length; index += 1) bytes[index] = letters.charCodeAt(index);
  return bytes;
}
