import { element } from "./elements.js";
import { message } from "./messages.js";
import { becomeUser, isAdmitted, user } from "./session.js";

const IN_NEW_TAB = { target: "_blank", rel: "opener", href: "/login/?next=/signed-in/" };
const OF_PERSON = ["examiner", "clinic"]; // the fields of the report that the service fills in

// How the page of a visitor becomes that of a person: they sign in in a new tab, so that the images
// on this page stay, or enter an API key.
export class SignIn {
  #place = element("sign-in");
  #dialog = element("sign-in-dialog");
  #onAdmit = null;

  // `count` returns how many images are on the page; `onLeave` is called where they have results,
  // which belong to the API key. It gets what to do once they are removed.
  constructor({ count, hasResults, onLeave }) {
    this.count = count;
    this.#place?.querySelector("a").addEventListener("click", (event) => {
      if (hasResults()) {
        event.preventDefault();
        onLeave(() => location.assign("/login/"));
      } else if (count()) {
        Object.assign(event.currentTarget, IN_NEW_TAB);
      }
    });
    this.#dialog?.addEventListener("close", () => this.#close());
  }

  // Call `onAdmit`: at once where a request can be let in, else when somebody has signed in.
  admit(onAdmit) {
    if (isAdmitted()) {
      onAdmit();
      return;
    }
    this.#onAdmit = onAdmit;
    element("sign-in-words").textContent = message("signIn.words", { count: this.count() });
    this.#dialog.returnValue = "";
    this.#dialog.showModal();
  }

  // Go on as the person whom the service names, with the bar at the top and the fields of the report that
  // it makes for them.
  // Returns whether they may analyse images. Raises where the service does not answer.
  async become(name) {
    const response = await fetch("/", { cache: "no-store" });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    // Done already, or changed again meanwhile, which the next look tells.
    if (user !== "" || page.body.dataset.user !== name) return true;
    if (!page.getElementById("workplace")) return false;
    document.querySelector("header.top").append(page.getElementById("person"));
    for (const id of OF_PERSON) element(id).defaultValue = page.getElementById(id).defaultValue;
    becomeUser(name);
    this.#place.remove();
    const onAdmit = this.#onAdmit;
    this.#onAdmit = null;
    this.#dialog.close();
    onAdmit?.();
    return true;
  }

  #close() {
    this.#onAdmit = null;
    if (this.#dialog.returnValue !== "key") return;
    element("key-details").open = true;
    element("key").focus();
  }
}
