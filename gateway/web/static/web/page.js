"use strict";

const element = (id) => document.getElementById(id);

// What a clinician can do about each answer; the service's own words follow.
const ADVICE = {
  401: "Check that all of the key was copied; it may have expired or been revoked. Or sign in again.",
  403: "Load the page again. If that does not help, ask your administrator for the right to do this.",
  429: "Wait a minute and try again.",
  413: "Export it smaller.",
  415: "Save the picture as JPEG or PNG.",
  422: "Copy or export it again from its source.",
  502: "Try again, and tell your administrator if it goes on.",
  503: "Wait a few seconds and try again.",
  504: "Wait a few seconds and try again.",
};

const links = [];

function text(tag, content, className = "") {
  const made = document.createElement(tag);
  made.textContent = content;
  made.className = className;
  return made;
}

async function showService() {
  let line = "The service is not ready yet.";
  try {
    const response = await fetch("/readyz", { cache: "no-store" });
    if (response.ok) {
      const { model } = await response.json();
      line = `Ready: ${model.name} ${model.version}`;
      showDemo(model.name);
    }
  } catch {
    line = "The service cannot be reached.";
  }
  element("service").textContent = line;
}

function showDemo(modelName) {
  element("demo").hidden = !/demo/i.test(modelName);
}

// A key that was typed in, or the session of whoever signed in.
function credential() {
  const key = element("key");
  if (key) return { headers: { "X-API-Key": key.value.trim() }, credentials: "omit" };
  const token = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";
  return { headers: { "X-CSRFToken": token }, credentials: "same-origin" };
}

async function predict() {
  const query = new URLSearchParams({ masks: "none", visualization: "jpeg" });
  const threshold = element("threshold").value;
  if (Number(threshold) > 0) query.set("score_threshold", threshold);
  const body = new FormData();
  // A fixed name: what the file is called may name a patient.
  body.append("file", element("file").files[0], "image");
  const response = await fetch(`/predict/?${query}`, {
    method: "POST",
    body,
    cache: "no-store",
    ...credential(),
  });
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error("refused"), { problem: answer });
  return answer;
}

function showProblem(error) {
  const box = element("problem");
  const problem = error.problem;
  if (problem) {
    box.replaceChildren(text("strong", problem.title));
    box.append(text("p", ADVICE[problem.status] ?? ""), text("p", problem.detail));
    box.append(text("p", `Request ${problem.request_id}`, "hint"));
  } else {
    box.replaceChildren(text("p", "No answer came back. Check the connection and try again."));
  }
  box.hidden = false;
}

function showPrediction(answer) {
  const count = answer.detections.length;
  element("found").textContent =
    count === 0 ? "No lesion found" : count === 1 ? "1 lesion found" : `${count} lesions found`;
  element("counts").replaceChildren(
    ...Object.entries(answer.metrics.class_distribution).map(([label, number]) =>
      text("li", `${label}: ${number}`, number === 0 ? "none" : ""),
    ),
  );
  element("overlay").src = `data:image/jpeg;base64,${answer.visualization}`;
  const whole = answer.image.width * answer.image.height;
  element("lesions").replaceChildren(...answer.detections.map((found) => lesionRow(found, whole)));
  element("provenance").textContent =
    `Model ${answer.model.name} ${answer.model.version}, ` +
    `${answer.image.width} × ${answer.image.height} ${answer.image.format}, request ${answer.request_id}`;
  showDemo(answer.model.name);
  offerDownloads(answer);
  element("result").hidden = false;
  element("found").focus();
}

// As pipeline/scores.py writes it on the picture: one decimal, half up by the number's own digits,
// and below 100 % unless it is 1.
function percent(score) {
  if (score < 0.0001) return "0.0 %"; // so small a number may be written with an exponent
  const [whole, decimals = ""] = String(score).split(".");
  const tenths = Number(whole + decimals.padEnd(3, "0").slice(0, 3)) + (decimals[3] >= "5" ? 1 : 0);
  const shown = score < 1 ? Math.min(tenths, 999) : tenths;
  return `${Math.floor(shown / 10)}.${shown % 10} %`;
}

function lesionRow(found, whole) {
  const area = found.mask_area ?? found.box_area;
  const row = document.createElement("tr");
  row.append(
    text("td", String(found.id + 1)),
    text("td", found.label),
    text("td", percent(found.score)),
    text("td", `${Math.round(area).toLocaleString()} px`),
    text("td", `${((area / whole) * 100).toFixed(2)} %`),
  );
  return row;
}

function offerDownloads(answer) {
  while (links.length) URL.revokeObjectURL(links.pop());
  const json = JSON.stringify(answer, null, 2);
  const picture = Uint8Array.from(atob(answer.visualization), (byte) => byte.charCodeAt(0));
  offer("save-json", new Blob([json], { type: "application/json" }));
  offer("save-overlay", new Blob([picture], { type: "image/jpeg" }));
}

function offer(id, blob) {
  const url = URL.createObjectURL(blob);
  links.push(url);
  element(id).href = url;
}

async function submit(event) {
  event.preventDefault();
  element("problem").hidden = true;
  element("result").hidden = true;
  element("submit").disabled = true;
  element("progress").textContent = "Looking for lesions …";
  try {
    showPrediction(await predict());
  } catch (error) {
    showProblem(error);
  } finally {
    element("submit").disabled = false;
    element("progress").textContent = "";
  }
}

function takeDropped(event) {
  event.preventDefault();
  element("drop").classList.remove("over");
  if (event.dataTransfer.files.length) element("file").files = event.dataTransfer.files;
}

element("form").addEventListener("submit", submit);
element("threshold").addEventListener("input", (event) => {
  const value = Number(event.target.value);
  element("threshold-shown").textContent = value === 0 ? "as the model" : value.toFixed(2);
});
element("drop").addEventListener("dragover", (event) => {
  event.preventDefault();
  element("drop").classList.add("over");
});
element("drop").addEventListener("dragleave", () => element("drop").classList.remove("over"));
element("drop").addEventListener("drop", takeDropped);
showService();
