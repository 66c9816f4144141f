import { element } from "./elements.js";
import { message } from "./messages.js";
import { isDemo } from "./result.js";

const ASK_AGAIN_MS = 3000;
const READY_AGAIN_MS = 60_000;
let timer = 0;

// Show whether the service is ready, and ask again: soon until it is, then now and then.
export async function showService() {
  clearTimeout(timer);
  let state = "waiting";
  let line = message("service.starting");
  try {
    const response = await fetch("/readyz", { cache: "no-store" });
    if (response.ok) {
      const { model } = await response.json();
      state = "ready";
      line = message("service.ready", { model: `${model.name} ${model.version}` });
      if (isDemo(model.name)) showDemo();
    }
  } catch {
    state = "failing";
    line = message(navigator.onLine ? "service.unreachable" : "service.offline");
  }
  if (element("service").textContent !== line) element("service").textContent = line; // announced once
  element("service").className = `service ${state}`;
  clearTimeout(timer); // another question may have been asked meanwhile
  timer = setTimeout(showService, state === "ready" ? READY_AGAIN_MS : ASK_AGAIN_MS);
}

// On the page of a public demo the banner says it already.
export function showDemo() {
  if (element("demo")) element("demo").hidden = false;
}

// Say while this computer is offline.
export function watchConnection() {
  const show = () => {
    element("offline").textContent = navigator.onLine ? "" : message("offline");
    element("offline").hidden = navigator.onLine;
    showService();
  };
  window.addEventListener("online", show);
  window.addEventListener("offline", show);
  show();
}
