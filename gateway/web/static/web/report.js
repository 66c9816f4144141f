import { copyOf, element } from "./elements.js";
import { clock } from "./files.js";
import { message } from "./messages.js";
import { imagePart, pairs } from "./report_image.js";
import { SessionChanged, user } from "./session.js";

// What the clinician types; it never leaves the browser. The first stand on every page.
const PERSON = ["patient", "birth", "examined"];
const CONTEXT = ["examiner", "clinic", "indication", "remarks"];

// The report of an examination for print: all findings of the service, whatever is hidden on the
// screen, with what was said of them here or saved before, and with pictures that are drawn here.
// Dispatches "session" with a SessionChanged that a request met.
export class Report extends EventTarget {
  #queue;
  #selected;
  #drafts;
  #dialog = element("report-dialog");
  #place = element("report");
  #all = element("report-all");
  #name = element("report-selected");
  #making = element("report-making");
  #problem = element("report-problem");
  #urls = [];
  #turn = 0;
  #isMaking = false;
  #isAbandoned = false; // whether the dialog was closed while a report was made

  // `selected` returns the selected image; `drafts` holds the reviews.
  constructor(queue, selected, drafts) {
    super();
    this.#queue = queue;
    this.#selected = selected;
    this.#drafts = drafts;
    document.documentElement.style.setProperty("--page-number", pageNumber());
    element("report-print").addEventListener("click", () => this.#print());
    for (const changing of [queue, drafts]) changing.addEventListener("change", () => this.forget());
    this.#dialog.addEventListener("close", () => this.#abandon());
  }

  open() {
    const selected = this.#selected();
    const [all, only] = this.#dialog.querySelectorAll("[name=which]");
    this.#all.textContent = String(this.#queue.answered.length);
    this.#name.textContent = selected?.name ?? "";
    only.disabled = !selected?.result;
    if (only.disabled) all.checked = true;
    element("examined").defaultValue = clock(new Date()).slice(0, 10);
    element("examiner").defaultValue ||= user;
    this.#problem.hidden = true;
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  // Forget the report and what was typed for it.
  clear() {
    this.forget();
    this.#dialog.querySelector("form").reset();
    if (this.#dialog.open) this.#dialog.close();
  }

  // Forget the report that was made last.
  forget() {
    this.#turn += 1;
    this.#place.hidden = true;
    this.#place.replaceChildren();
    this.#urls.splice(0).forEach((url) => URL.revokeObjectURL(url));
  }

  // Make the report and print it; a second press meanwhile changes nothing.
  async #print() {
    if (this.#isMaking) return;
    this.forget();
    this.#problem.hidden = true;
    this.#isAbandoned = false;
    this.#tellMaking(true);
    try {
      await this.#make();
    } finally {
      this.#tellMaking(false);
    }
    if (!this.#place.hidden) window.print();
  }

  #abandon() {
    if (!this.#isMaking) return;
    this.#isAbandoned = true;
    this.forget();
  }

  #tellMaking(isMaking) {
    this.#isMaking = isMaking;
    this.#making.textContent = isMaking ? message("report.making") : "";
  }

  // Make the report, which only the printer shows, or say why there is none.
  async #make() {
    const turn = this.#turn;
    const isAll = this.#dialog.querySelector("[name=which]:checked").value === "all";
    const images = isAll ? this.#queue.answered : [this.#selected()];
    try {
      const sheets = await this.#sheetsOf(images, turn);
      if (turn === this.#turn) this.#place.replaceChildren(...sheets);
      await Promise.all([...this.#place.querySelectorAll("img[src]")].map((picture) => picture.decode()));
      if (turn === this.#turn) this.#place.hidden = false;
    } catch (error) {
      if (turn === this.#turn || error instanceof SessionChanged) this.#fail(error);
    }
    if (turn === this.#turn) return;
    this.forget(); // the pictures that were made since
    if (!this.#isAbandoned) this.#tellProblem("report.outdated");
  }

  // What a browser says is in its own words, and maybe in another language than the page.
  #fail(error) {
    if (error instanceof SessionChanged) {
      this.dispatchEvent(new CustomEvent("session", { detail: error }));
      return;
    }
    console.warn(error);
    this.#tellProblem("report.failed");
  }

  #tellProblem(key) {
    this.#problem.textContent = message(key);
    this.#problem.hidden = false;
  }

  // Return a table for each image, as long as it is this turn. Most browsers repeat its head on each page;
  // Safari does not, so there the first page of each image has it.
  async #sheetsOf(images, turn) {
    const sheets = [];
    for (const image of images) {
      if (turn !== this.#turn) break;
      const sheet = sheetOf(images);
      sheet.querySelector(".report-images").append(await this.#rowOf(image));
      sheets.push(sheet);
    }
    sheets.slice(1).forEach((sheet) => sheet.querySelector(".report-title").remove());
    sheets.slice(0, -1).forEach((sheet) => sheet.querySelector(".report-end").remove());
    return sheets;
  }

  async #rowOf(image) {
    const row = document.createElement("tr");
    const part = await imagePart(image, this.#drafts, (blob) => {
      this.#urls.push(URL.createObjectURL(blob));
      return this.#urls.at(-1);
    });
    row.insertCell().append(part);
    return row;
  }
}

// Return a sheet of the report without its image; `images` are those of the whole report.
function sheetOf(images) {
  const sheet = copyOf("report-sheet");
  const part = (selector) => sheet.querySelector(selector);
  const person = PERSON.map((name) => [name, typed(name) || message("report.unstated")]);
  const context = CONTEXT.map((name) => [name, typed(name)]).filter(([, value]) => value !== "");
  part(".report-person").append(...pairs(person.map(([name, value]) => [`report.${name}`, value])));
  part(".context").append(...pairs(context.map(([name, value]) => [`report.${name}`, value])));
  part(".report-demo").hidden = !images.some(({ result }) => result.isOfDemo);
  part(".printed").textContent = message("report.printed", { time: clock(new Date()) });
  return sheet;
}

function typed(name) {
  return element(name).value.trim();
}

// Return the number of a page as CSS has it in the margin of a page, from the text in the page's language.
function pageNumber() {
  const parts = message("report.page", { page: "{page}", pages: "{pages}" }).split(/\{(pages?)\}/);
  return parts.map((part, index) => (index % 2 === 1 ? `counter(${part})` : JSON.stringify(part))).join(" ");
}
