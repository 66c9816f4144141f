import { element, text } from "./elements.js";
import { openPagesOutsideFrame } from "./frame.js";
import { offerLanguages } from "./language_choice.js";
import { Lock } from "./lock.js";
import { message } from "./messages.js";
import { showService, watchConnection } from "./service.js";
import { csrfToken, tellSignOut, user, watchSession } from "./session.js";
import { Workplace } from "./workplace.js";

// Tell that the session is no longer this page's; nothing of a patient stays.
function endSession(line, link, url) {
  if (user) element("person").hidden = true;
  const way = text("a", link);
  way.href = url;
  const words = text("p", `${line} `);
  words.append(way, ".");
  element("notice").replaceChildren(words);
  element("ended").hidden = false;
  element("notice").focus();
}

function startWorkplace() {
  const root = element("workplace");
  const end = (...words) => {
    workplace.leave();
    lock?.end();
    root.remove();
    endSession(...words);
  };
  const endOwn = () => end(message("session.removed"), message("session.again"), "/login/");
  const change = (changed) => {
    if (changed.isExpiry) {
      workplace.pause();
      lock.lock(workplace.count);
    } else if (changed.isSignOut) {
      endOwn();
    } else {
      end(message("session.changed"), message("session.reload"), "/");
    }
  };
  const lock = user ? new Lock(root, endOwn) : null; // a key has no session that expires
  const workplace = new Workplace(change);
  watchSession({
    onChange: change,
    onSame: () => {
      if (!lock?.isLocked) return;
      lock.unlock();
      workplace.resume();
    },
  });
  // A page that the browser keeps for its back button holds nothing.
  window.addEventListener("pagehide", () => workplace.leave());
  offerLanguages(() => workplace.count);
}

function startWithoutWorkplace() {
  watchSession({ onChange: () => location.reload(), onSame: () => {} });
  offerLanguages(() => 0);
}

window.addEventListener("pageshow", (event) => event.persisted && location.reload());
element("sign-out")?.addEventListener("submit", (event) => {
  // Another tab may have signed in since, with a token of its own.
  event.target.csrfmiddlewaretoken.value = csrfToken();
  tellSignOut();
});
openPagesOutsideFrame();
watchConnection();
if (element("workplace")) startWorkplace();
else startWithoutWorkplace();
showService();
