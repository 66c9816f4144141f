import { Unreachable, explain } from "./problem.js";
import { element } from "./elements.js";

// Call `take` with the synthetic image that a visitor of a public demo clicked on.
export function offerExamples(take) {
  for (const button of document.querySelectorAll(".example")) {
    button.addEventListener("click", async () => {
      try {
        take(await example(button.dataset));
      } catch (error) {
        element("refused").replaceChildren(...explain(error));
        element("refused").hidden = false;
      }
    });
  }
}

async function example({ url, name }) {
  let response;
  try {
    response = await fetch(url);
  } catch {
    throw new Unreachable();
  }
  if (!response.ok) throw new Unreachable();
  return new File([await response.blob()], name, { type: "image/jpeg" });
}
