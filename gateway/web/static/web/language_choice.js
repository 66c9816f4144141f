import { element } from "./elements.js";
import { message } from "./messages.js";
import { csrfToken } from "./session.js";

// Ask before another language is chosen while there are images, of which `count` returns the number:
// the page is loaded again, and holds them no longer.
export function offerLanguages(count) {
  const form = document.querySelector(".languages");
  const isKeptInCookie = form.method === "post";
  // Without cookies, as in a frame of another site, the choice would be refused.
  form.hidden = isKeptInCookie && csrfToken() === "";
  form.addEventListener("submit", (event) => {
    // Another tab may have signed in since, with a token of its own.
    if (isKeptInCookie) form.csrfmiddlewaretoken.value = csrfToken();
    if (count() === 0) return;
    event.preventDefault();
    ask(count(), () => choose(form, event.submitter));
  });
}

function ask(count, onChange) {
  const dialog = element("language-dialog");
  element("language-words").textContent = message("clear.words", { count });
  dialog.returnValue = "";
  dialog.addEventListener("close", () => dialog.returnValue && onChange(), { once: true });
  dialog.showModal();
}

// Send the form as the button does, which tells no further "submit".
function choose(form, button) {
  const { name, value } = button;
  form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
  form.submit();
}
