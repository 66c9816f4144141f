import { copyOf, element, text } from "./elements.js";
import { clock } from "./files.js";
import { lesionTable } from "./findings.js";
import { message } from "./messages.js";
import { percent } from "./percent.js";
import { consequence, reasonsOf } from "./quality.js";
import { addVerdicts, reviewLines } from "./review/review_report.js";
import { Study } from "./viewer/study.js";
import { Viewer } from "./viewer/viewer.js";

const PICTURE_SIDE = 1600;
// What the clinician types about the patient; it never leaves the browser.
const CONTEXT = ["patient", "birth", "indication", "remarks"];

// The report of an examination for print: all findings of the service, whatever is hidden on the
// screen, with what the reviewer says of them here, and with pictures that are drawn here.
export class Report {
  #queue;
  #selected;
  #drafts;
  #dialog = element("report-dialog");
  #fields = new Map(CONTEXT.map((name) => [name, element(name)]));
  #place = element("report");
  #all = element("report-all");
  #name = element("report-selected");
  #problem = element("report-problem");
  #urls = [];
  #turn = 0;

  // `selected` returns the selected image; `drafts` holds the reviews.
  constructor(queue, selected, drafts) {
    this.#queue = queue;
    this.#selected = selected;
    this.#drafts = drafts;
    element("report-print").addEventListener("click", () => this.#print());
    queue.addEventListener("change", () => this.forget());
  }

  open() {
    const selected = this.#selected();
    const [all, only] = this.#dialog.querySelectorAll("[name=which]");
    this.#all.textContent = String(this.#queue.answered.length);
    this.#name.textContent = selected?.name ?? "";
    only.disabled = !selected?.result;
    if (only.disabled) all.checked = true;
    this.#problem.hidden = true;
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  // Forget the report and what was typed for it.
  clear() {
    this.forget();
    for (const field of this.#fields.values()) field.value = "";
    if (this.#dialog.open) this.#dialog.close();
  }

  // Forget the report that was made last.
  forget() {
    this.#turn += 1;
    this.#place.hidden = true;
    this.#place.replaceChildren();
    this.#urls.splice(0).forEach((url) => URL.revokeObjectURL(url));
  }

  async #print() {
    this.forget();
    const turn = this.#turn;
    const isAll = this.#dialog.querySelector("[name=which]:checked").value === "all";
    const images = isAll ? this.#queue.answered : [this.#selected()];
    try {
      const page = await this.#pageOf(images);
      if (turn !== this.#turn) return;
      this.#place.replaceChildren(page);
      await Promise.all([...this.#place.querySelectorAll("img[src]")].map((picture) => picture.decode()));
    } catch (error) {
      this.#problem.textContent = message("report.failed", { reason: error.message });
      this.#problem.hidden = false;
      return;
    }
    if (turn !== this.#turn) return;
    this.#place.hidden = false;
    window.print();
  }

  async #pageOf(images) {
    const page = copyOf("report-page");
    const context = [...this.#fields].filter(([, { value }]) => value.trim());
    page.querySelector(".context").append(...pairs(context.map(([name, { value }]) => [`report.${name}`, value])));
    page.querySelector(".report-demo").hidden = !images.some(({ result }) => result.isOfDemo);
    page.querySelector(".printed").textContent = message("report.printed", { time: clock(new Date()) });
    for (const image of images) page.querySelector(".report-images").append(await this.#sectionOf(image));
    return page;
  }

  async #sectionOf(image) {
    const { result, name } = image;
    const section = copyOf("report-image").firstElementChild;
    const part = (selector) => section.querySelector(selector);
    part("h2 bdi").textContent = name;
    part(".count").textContent = result.headline;
    part(".consequence").hidden = !result.isUngradable;
    if (result.isUngradable) {
      part(".reasons").append(...reasonsOf(result.answer.quality).map((reason) => text("li", reason)));
      part(".consequence").textContent = consequence(result.answer.quality);
    }
    const draft = (await this.#drafts.known(result)) ?? null;
    const review = draft?.isEmpty ? null : draft;
    const picture = await numberedPicture(image, review);
    part("figure").hidden = picture === null;
    if (picture !== null) {
      this.#urls.push(URL.createObjectURL(picture));
      Object.assign(part("img"), { src: this.#urls.at(-1), alt: message("result.drawn", { name }) });
    }
    if (!result.isWithheld && result.count > 0) part(".findings-table").append(lesionTable(result, name));
    if (review !== null) {
      const table = part("table");
      if (table !== null) addVerdicts(table, result, review);
      part(".report-review").append(text("h3", message("report.review")), ...reviewLines(result, review));
    }
    part(".identity").append(...pairs(identity(result)));
    return section;
  }
}

// Return the image with its lesions numbered and what a draft says of them, or null where there is no
// picture of it.
async function numberedPicture({ result, blob, name, isShowable }, draft) {
  if (!isShowable) return result.picture;
  const study = await Study.of(result.answer, blob, { name, time: result.time });
  const viewer = new Viewer(document.createElement("div"));
  try {
    viewer.show(study);
    if (draft !== null) viewer.annotate(draft.annotations);
    return await viewer.picture({ maxSide: PICTURE_SIDE });
  } finally {
    viewer.release();
    study.release();
  }
}

function identity({ answer, time, isUngradable }) {
  const { model, image, options, quality, request_id: id } = answer;
  const threshold = options.score_threshold ?? model.score_threshold;
  const gradable = quality?.gradable ? "report.gradable" : "report.unassessed";
  return [
    ["report.model", `${model.name} ${model.version}`],
    ["report.bundle", model.bundle_sha256.slice(0, 16)],
    ["report.engine", `${model.engine}, ${model.precision}`],
    ["report.threshold", percent(threshold)],
    ["report.analysed", clock(time)],
    ["report.image", message("provenance.image", image)],
    ["report.quality", message(isUngradable ? "report.check" : gradable)],
    ["report.request", id],
    ["report.digest", image.sha256 ?? "–"],
  ];
}

function pairs(entries) {
  return entries.map(([key, value]) => {
    const pair = document.createElement("div");
    pair.append(text("dt", message(key)), text("dd", value));
    return pair;
  });
}
