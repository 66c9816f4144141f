import { Batch } from "./batch.js";
import { element, text } from "./elements.js";
import { offerExamples } from "./examples.js";
import { sortDropped, sortFiles } from "./files.js";
import { isDemo } from "./findings.js";
import { openPagesOutsideFrame } from "./frame.js";
import { percent } from "./percent.js";
import { authorise, csrfToken, user, watchSession, SessionChanged } from "./session.js";

const ASK_AGAIN_MS = 3000;

async function showService() {
  let isReady = false;
  let line = "The service is not ready yet.";
  try {
    const response = await fetch("/readyz", { cache: "no-store" });
    isReady = response.ok;
    if (isReady) {
      const { model } = await response.json();
      line = `Ready: ${model.name} ${model.version}`;
      if (isDemo(model.name)) showDemo();
    }
  } catch {
    line = "The service cannot be reached.";
  }
  element("service").textContent = line;
  if (!isReady) setTimeout(showService, ASK_AGAIN_MS);
}

// On the page of a public demo the banner says it already.
function showDemo() {
  if (element("demo")) element("demo").hidden = false;
}

// Tell that the session is no longer this page's; nothing of a patient stays.
function endSession(batch, change) {
  batch.clear();
  element("workplace").hidden = true;
  if (user) element("person").hidden = true;
  const [line, link, url] =
    user && change.user === null
      ? ["Your session has ended; the images and results were removed.", "Sign in again", "/login/"]
      : ["Somebody else signed in or out in this browser; the images and results were removed.", "Load the page again", "/"];
  const way = text("a", link);
  way.href = url;
  const words = text("p", `${line} `);
  words.append(way, ".");
  element("notice").replaceChildren(words);
  element("notice").hidden = false;
  element("notice").focus();
}

function showRefused(refused) {
  const lines = refused.map(({ name, reason }) => {
    const line = document.createElement("li");
    line.append(text("bdi", name), `: ${reason}.`);
    return line;
  });
  const list = document.createElement("ul");
  list.append(...lines);
  element("refused").replaceChildren(text("strong", "Not taken"), list);
  element("refused").hidden = refused.length === 0;
}

function showThreshold() {
  const value = Number(element("threshold").value);
  const shown = value === 0 ? "the model's own threshold" : percent(value);
  element("threshold-shown").textContent = shown;
  element("threshold").ariaValueText = shown;
}

function query() {
  const options = new URLSearchParams({ masks: "rle", visualization: "jpeg" });
  const threshold = element("threshold").value;
  if (Number(threshold) > 0) options.set("score_threshold", threshold);
  return options;
}

function showRunning(isRunning) {
  element("submit").disabled = isRunning;
  element("cancel").hidden = !isRunning;
  if (element("key")) element("key").readOnly = isRunning;
}

// Move the focus from the buttons to the first result, for whoever does not see it appear.
function moveFocus() {
  const places = [document.body, element("submit"), element("cancel")];
  const isButton = places.includes(document.activeElement) || document.activeElement.matches(".example");
  if (isButton) element("cards").querySelector(".name")?.focus();
}

async function submit(event, batch) {
  event.preventDefault();
  if (batch.isRunning) return;
  if (batch.isEmpty) {
    element("progress").textContent = "Choose an image first.";
    element("file").focus();
    return;
  }
  showRunning(true);
  try {
    const isComplete = await batch.run(query(), authorise);
    if (batch.isOfDemo) showDemo();
    if (isComplete) moveFocus();
  } catch (error) {
    if (!(error instanceof SessionChanged)) throw error;
    endSession(batch, error);
  } finally {
    showRunning(batch.isRunning);
  }
}

function startWorkplace() {
  const batch = new Batch(element("cards"), (line) => (element("progress").textContent = line));
  const choose = ({ images, refused }) => {
    batch.choose(images);
    showRunning(false);
    showRefused(refused);
    element("empty").hidden = !batch.isEmpty;
    element("file").value = ""; // so that the same file can be chosen again
  };
  element("form").addEventListener("submit", (event) => submit(event, batch));
  element("cancel").addEventListener("click", () => {
    batch.cancel();
    showRunning(false);
    element("submit").focus();
  });
  element("file").addEventListener("change", () => choose(sortFiles(element("file").files)));
  element("threshold").addEventListener("input", showThreshold);
  element("key")?.addEventListener("input", () => {
    if (batch.isAnswered) choose({ images: [], refused: [] }); // another person may be at the desk
  });
  const over = (isOver) => element("drop").classList.toggle("over", isOver);
  document.addEventListener("dragover", (event) => over(event.dataTransfer.types.includes("Files")));
  document.addEventListener("dragleave", () => over(false));
  document.addEventListener("drop", (event) => {
    over(false);
    if (event.dataTransfer.types.includes("Files")) choose(sortDropped(event.dataTransfer));
  });
  // A page that the browser keeps for its back button holds nothing.
  window.addEventListener("pagehide", () => {
    choose({ images: [], refused: [] });
    if (element("key")) element("key").value = "";
  });
  offerExamples((files) => {
    choose(sortFiles(files));
    element("form").requestSubmit();
  });
  watchSession((change) => endSession(batch, change));
  showThreshold();
  showRunning(false); // the button is disabled until here
  // Chosen before this script was there.
  if (element("file").files.length) choose(sortFiles(element("file").files));
}

function startWithoutWorkplace() {
  watchSession(() => location.reload());
}

window.addEventListener("pageshow", (event) => event.persisted && location.reload());
element("sign-out")?.addEventListener("submit", (event) => {
  // Another tab may have signed in since, with a token of its own.
  event.target.csrfmiddlewaretoken.value = csrfToken();
});
openPagesOutsideFrame();
if (element("workplace")) startWorkplace();
else startWithoutWorkplace();
showService();
