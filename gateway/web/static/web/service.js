import { element } from "./elements.js";
import { message } from "./messages.js";
import { isDemo } from "./result.js";

const ASK_AGAIN_MS = 3000;

// Show whether the service is ready, and ask again until it is.
export async function showService() {
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
    line = message("service.unreachable");
  }
  element("service").textContent = line;
  element("service").className = `service ${state}`;
  if (state !== "ready") setTimeout(showService, ASK_AGAIN_MS);
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
  };
  window.addEventListener("online", show);
  window.addEventListener("offline", show);
  show();
}
