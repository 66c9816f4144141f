import { element, text } from "./elements.js";
import { message } from "./messages.js";

// Tell below the bar at the top, where the person looks who has signed in again, what becomes of the
// reviews that are sent only now, and which others are not saved. `unsaved` returns lines on these.
export async function tellSaves(saves, unsaved) {
  if (!saves.length) {
    show(unsaved());
    return;
  }
  show([message("saves.sending", { count: saves.length })]);
  const ends = await Promise.allSettled(saves);
  const count = ends.filter(({ status }) => status === "fulfilled").length;
  show([...(count ? [message("saves.saved", { count })] : []), ...unsaved()]);
}

function show(lines) {
  const notice = element("save-notice");
  const close = text("button", message("close"), "quiet small");
  close.type = "button";
  close.addEventListener("click", () => show([]));
  notice.replaceChildren(text("p", lines.join(" ")), close);
  notice.hidden = lines.length === 0;
}
