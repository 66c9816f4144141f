import { element } from "./elements.js";
import { Refusal, Unreachable } from "./problem.js";

// Who is signed in on this page; "" for a visitor, who shows a key.
export const user = document.body.dataset.user;

// The key of a public demo, which every visitor uses; undefined on other pages.
export const demoKey = document.body.dataset.demoKey;

const CHECK_EVERY_MS = 5 * 60 * 1000;

// Raised where the session of this page has ended or is another person's; `user` is who is signed
// in now, or null.
export class SessionChanged extends Error {
  constructor(newUser) {
    super("The session has changed.");
    this.user = newUser;
  }
}

export function csrfToken() {
  return document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";
}

// Return the headers that let a request in. Raises SessionChanged, Refusal or Unreachable.
export async function authorise() {
  const key = demoKey ?? element("key")?.value.trim();
  if (key !== undefined && !/^[\x21-\x7e]+$/.test(key)) {
    throw new Refusal(401, { title: "Unauthorized", detail: "The key holds characters that no key has." });
  }
  await check();
  return key === undefined ? { "X-CSRFToken": csrfToken() } : { "X-API-Key": key };
}

// Call `onChange` with SessionChanged when the session ends, or when somebody else signs in or out
// in this browser.
export function watchSession(onChange) {
  const channel = new BroadcastChannel("lesionserve-session");
  channel.addEventListener("message", ({ data }) => {
    if (data.user !== user) onChange(new SessionChanged(data.user || null));
  });
  channel.postMessage({ user });
  const look = async () => {
    try {
      await check();
    } catch (error) {
      if (!(error instanceof Unreachable)) onChange(error); // the next request tells that
    }
  };
  document.addEventListener("visibilitychange", () => document.hidden || look());
  setInterval(look, CHECK_EVERY_MS);
}

// Raises SessionChanged, or Unreachable where the service does not say who is signed in.
async function check() {
  const now = await whoIsSignedIn();
  if (now !== user) throw new SessionChanged(now || null);
}

async function whoIsSignedIn() {
  try {
    const response = await fetch("/session/", { cache: "no-store" });
    if (response.ok) return (await response.json()).user ?? "";
  } catch {
    throw new Unreachable();
  }
  throw new Unreachable();
}
