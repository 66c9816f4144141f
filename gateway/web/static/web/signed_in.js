// The end of a sign-in that another tab asked for: tell it, and close this tab if it may be closed.
new BroadcastChannel("lesionserve-session").postMessage({ user: document.body.dataset.user });
if (window.opener) window.close();
