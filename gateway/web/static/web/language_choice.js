import { csrfToken } from "./session.js";

// Let a person choose another language, with which the page is loaded again. `leave` calls what it
// gets, once the page may be left.
export function offerLanguages(leave) {
  const form = document.querySelector(".languages");
  const isKeptInCookie = form.method === "post";
  // Without cookies, as in a frame of another site, the choice would be refused.
  form.hidden = isKeptInCookie && csrfToken() === "";
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const { name, value } = event.submitter;
    leave(() => {
      // Another tab may have signed in since, with a token of its own.
      if (isKeptInCookie) form.csrfmiddlewaretoken.value = csrfToken();
      form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
      form.submit();
    });
  });
}
