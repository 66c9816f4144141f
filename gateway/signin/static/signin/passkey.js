// Forms that a passkey completes: the browser's answer to the server's challenge is sent with the
// form, and the server's page says whether it was accepted.

const usesJson =
  Boolean(window.PublicKeyCredential?.parseCreationOptionsFromJSON) &&
  Boolean(PublicKeyCredential.prototype.toJSON);

// The options of WebAuthn, which the server sends as JSON.
async function optionsOf(form) {
  const token = form.elements.csrfmiddlewaretoken.value;
  const response = await fetch(form.dataset.options, {
    method: "POST",
    headers: { "X-CSRFToken": token, Accept: "application/json" },
  });
  if (!response.ok) throw new Error(`options: ${response.status}`);
  return (await response.json()).publicKey;
}

async function credentialOf(form) {
  const options = await optionsOf(form);
  if (form.dataset.passkey === "create") {
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
    return navigator.credentials.create({ publicKey });
  }
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  return navigator.credentials.get({ publicKey });
}

async function complete(form) {
  const problem = form.querySelector(".problem");
  const button = form.querySelector("button[type=submit]");
  problem.hidden = true;
  button.disabled = true;
  try {
    form.elements.credential.value = JSON.stringify(await credentialOf(form));
    form.submit();
  } catch (error) {
    console.warn(error);
    problem.textContent = gettext("No passkey was used. Try again, or choose another way.");
    problem.hidden = false;
    button.disabled = false;
  }
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!usesJson) break;
  form.hidden = false;
  for (const words of document.querySelectorAll(".no-passkeys")) words.hidden = true;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    complete(form);
  });
}
