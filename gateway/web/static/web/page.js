import { element, text } from "./elements.js";
import { openPagesOutsideFrame } from "./frame.js";
import { offerLanguages } from "./language_choice.js";
import { Lock } from "./lock.js";
import { message } from "./messages.js";
import { watchConnection } from "./service.js";
import { csrfToken, demoKey, tellSignOut, user, watchSession } from "./session.js";
import { Workplace } from "./workplace.js";

// Tell that the session is no longer this page's; nothing of a patient stays. `lost` says what was
// on this page alone.
function endSession(lost, line, link, url) {
  if (user) element("person").hidden = true;
  const way = text("a", link);
  way.href = url;
  const words = text("p", `${line} `);
  words.append(way, ".");
  element("notice").replaceChildren(words, ...lost.map((each) => text("p", each)));
  element("ended").hidden = false;
  element("notice").focus();
}

function startWorkplace() {
  const root = element("workplace");
  const end = (...words) => {
    const lost = workplace.guard.losses;
    workplace.leave();
    lock?.end();
    root.remove();
    endSession(lost, ...words);
  };
  const endOwn = () => end(message("session.removed"), message("session.again"), "/login/");
  const change = (changed) => {
    if (changed.isExpiry) {
      workplace.pause();
      lock.lock(workplace.count, workplace.guard.losses);
    } else if (changed.isSignOut) {
      endOwn();
    } else if (user === "" && changed.user && !workplace.hasResults) {
      become(changed.user);
    } else {
      end(message("session.changed"), message("session.reload"), "/");
    }
  };
  // The images of a visitor without a result are nobody's: whoever signs in goes on with them.
  const become = async (name) => {
    if (!(await workplace.signIn.become(name))) {
      workplace.leave();
      location.reload();
    } else if (user === name) {
      workplace.resume();
    }
  };
  const lock = demoKey === undefined ? new Lock(root, endOwn) : null; // a demo has no session
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
  watchLinks(workplace);
  watchSignOut((go) => workplace.guard.askToLeave("signOut", go));
  offerLanguages((go) => workplace.askToReload("language", go));
}

// The name of the product leads to this page anew, which is a new examination.
function watchLinks(workplace) {
  document.querySelector(".brand").addEventListener("click", (event) => {
    if (!workplace.count) return;
    event.preventDefault();
    workplace.begin();
  });
}

// `leave` calls what it gets, once the page may be left.
function watchSignOut(leave) {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.id !== "sign-out") return;
    event.preventDefault();
    leave(() => {
      // Another tab may have signed in since, with a token of its own.
      form.csrfmiddlewaretoken.value = csrfToken();
      tellSignOut();
      form.submit();
    });
  });
}

function startWithoutWorkplace() {
  watchSignOut((go) => go());
  offerLanguages((go) => go());
  watchSession({ onChange: () => location.reload(), onSame: () => {} });
}

window.addEventListener("pageshow", (event) => event.persisted && location.reload());
openPagesOutsideFrame();
watchConnection();
if (element("workplace")) startWorkplace();
else startWithoutWorkplace();
element("unstarted").remove();
