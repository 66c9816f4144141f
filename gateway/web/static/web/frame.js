// Open the other pages in a tab of their own where this one is shown in a frame: a browser shows none
// of them there.
export function openPagesOutsideFrame() {
  if (window.top === window) return;
  document.addEventListener("click", ({ target }) => {
    const link = target.closest?.('a[href^="/"]:not([href="/"])');
    if (link) Object.assign(link, { target: "_blank", rel: "noopener" });
  });
}
