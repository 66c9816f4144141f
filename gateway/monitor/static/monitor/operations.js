// Replace the state of the service every 30 seconds, without moving what the reader looks at.

const EVERY_MS = 30_000;
const overview = document.querySelector("#overview");
const refresh = document.querySelector("#refresh");
const age = document.querySelector("#age");

async function load() {
  const response = await fetch(location.pathname, { headers: { accept: "text/html" } });
  if (response.redirected) {
    location.reload(); // the session ended: the sign-in page is next
    return;
  }
  if (!response.ok) throw new Error(`the gateway answered ${response.status}`);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  replace(page.querySelector("#overview"));
  document.title = page.title;
  age.textContent = page.querySelector("#age").textContent;
}

function replace(next) {
  const open = [...overview.querySelectorAll("details")].map((it) => it.open);
  next.querySelectorAll("details").forEach((it, number) => { it.open = open[number] ?? false; });
  const focused = overview.contains(document.activeElement) ? position(document.activeElement) : -1;
  overview.replaceChildren(...next.childNodes);
  overview.dataset.at = next.dataset.at;
  if (focused >= 0) focusable()[focused]?.focus({ preventScroll: true });
}

function focusable() {
  return [...overview.querySelectorAll("a, summary, [tabindex]")];
}

function position(element) {
  return focusable().indexOf(element);
}

async function tick() {
  if (!refresh.checked || document.hidden) return;
  try {
    await load();
    overview.classList.remove("stale");
  } catch (error) {
    overview.classList.add("stale");
    age.textContent = `Not refreshed since ${new Date(overview.dataset.at).toLocaleTimeString()}: ${error.message}.`;
  }
}

setInterval(tick, EVERY_MS);
document.addEventListener("visibilitychange", tick);
refresh.addEventListener("change", tick);
