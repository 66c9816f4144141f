import { element } from "./elements.js";
import { message } from "./messages.js";
import { Refusal, Unreachable } from "./problem.js";

// Who is signed in on this page; "" for a visitor, who shows a key.
export const user = document.body.dataset.user;

// The key of a public demo, which every visitor uses; undefined on other pages.
export const demoKey = document.body.dataset.demoKey;

const CHECK_EVERY_MS = 5 * 60 * 1000;
const channel = new BroadcastChannel("lesionserve-session");
const keyField = element("key"); // it leaves the document while the page is locked

// Raised where the session of this page has ended or is another person's; `user` is who is signed
// in now, or null. `isSignOut` tells that the person has signed out.
export class SessionChanged extends Error {
  constructor(newUser, isSignOut = false) {
    super("The session has changed.");
    this.user = newUser;
    this.isSignOut = isSignOut;
  }

  // Whether this page's person may sign in again and go on.
  get isExpiry() {
    return user !== "" && this.user === null && !this.isSignOut;
  }
}

export function csrfToken() {
  return document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";
}

// Return the headers that let a request in. Raises SessionChanged, Refusal or Unreachable.
export async function authorise() {
  const key = demoKey ?? keyField?.value.trim();
  if (key !== undefined && !/^[\x21-\x7e]+$/.test(key)) {
    const title = message("error.unauthorized");
    throw new Refusal(401, { title, detail: message("problem.letters") });
  }
  await check();
  return key === undefined ? { "X-CSRFToken": csrfToken() } : { "X-API-Key": key };
}

// Tell the other tabs of this browser that the person of this page signs out.
export function tellSignOut() {
  channel.postMessage({ user: "", isSignOut: true });
}

// Call `onChange` with SessionChanged when the session ends, or when somebody else signs in or out
// in this browser, and `onSame` when the service says that the session is this page's.
export function watchSession({ onChange, onSame }) {
  const look = async () => {
    try {
      await check();
      onSame();
    } catch (error) {
      if (!(error instanceof Unreachable)) onChange(error); // the next request tells that
    }
  };
  channel.addEventListener("message", ({ data }) => {
    if (data.user === user && !data.isSignOut) look();
    else onChange(new SessionChanged(data.user || null, data.isSignOut));
  });
  channel.postMessage({ user });
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
