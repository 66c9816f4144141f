"""A page that holds the viewer and nothing else, served to the browser without a gateway."""

import base64
import json
import re
from mimetypes import guess_type
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext, Page, Route

WEB = Path(__file__).parents[4] / "gateway" / "web"
ADDRESS = "http://viewer.test/"
# As the gateway's settings have it.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'"
)
# What Django's catalogue of the scripts does in English.
MESSAGES = """
globalThis.gettext = (text) => text;
globalThis.ngettext = (one, other, count) => (count === 1 ? one : other);
"""
TOKENS = """
:root {
  color-scheme: light;
  --ink: #15212b; --faint: #52606c; --line: #d5dde2; --paper: #fff; --ground: #f1f4f6;
  --accent: #0d5c73; --accent-ink: #fff; --bad: #9f1c2a; --bad-ground: #fcecee;
  --warn-ink: #604500; --warn-ground: #fff3d1; --good: #1b6b43; --focus: #0b6bcb;
  --space-1: .25rem; --space-2: .5rem; --space-3: .75rem; --space-4: 1rem; --space-5: 1.5rem;
  --space-6: 2rem; --radius: .5rem; --font: system-ui, sans-serif; --mono: monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    color-scheme: dark;
    --ink: #e5ebef; --faint: #a4b2bc; --line: #2d3942; --paper: #182128; --ground: #0e1418;
    --accent: #72c7da; --accent-ink: #05222b; --bad: #ffb1b7; --bad-ground: #43171d;
    --warn-ink: #ffe2a0; --warn-ground: #3d3110; --good: #7fdaa4; --focus: #8fbcff;
  }
}
body { margin: 0; background: var(--ground); }
main { max-width: 90rem; margin: 0 auto; padding: 1rem; }
"""


async def serve(context: BrowserContext) -> None:
    """Answer the browser's requests for the page and the files of the viewer."""
    await context.route(f"{ADDRESS}**", _answer)


async def _answer(route: Route) -> None:
    path = route.request.url.removeprefix(ADDRESS)
    headers = {"Content-Security-Policy": POLICY}
    if path == "":
        await route.fulfill(body=_page(), content_type="text/html; charset=utf-8", headers=headers)
    elif path == "messages.js":
        await route.fulfill(body=MESSAGES, content_type="text/javascript")
    elif path == "tokens.css":
        await route.fulfill(body=TOKENS, content_type="text/css")
    elif path.startswith("static/") and (file := WEB / path).is_file():
        await route.fulfill(body=file.read_bytes(), content_type=guess_type(path)[0])
    else:
        await route.fulfill(status=404)


def _page() -> str:
    source = (WEB / "templates/web/viewer.html").read_text()
    template = in_english(source[source.index("<template") :])  # without the comment of Django
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>viewer</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/tokens.css">
<link rel="stylesheet" href="/static/web/viewer/viewer.css">
<script src="/messages.js"></script></head>
<body><main id="place"><h1 hidden>Viewer</h1></main>{template}</body></html>"""


def in_english(template: str) -> str:
    """Return a template as Django renders it for English readers, where it has no variables."""
    text = re.sub(r"""{% translate (['"])(.*?)\1 %}""", r"\2", template)
    text = re.sub("{% (end)?blocktranslate %}", "", text)
    assert "{%" not in text
    return text


async def show(page: Page, answer: dict[str, Any], image: bytes, name: str = "scan.jpg") -> None:
    """Show an answer and its image in a further viewer of the page, `viewers.at(-1)`."""
    await page.evaluate(
        """async ([answer, image, name]) => {
          const { Viewer } = await import("/static/web/viewer/viewer.js");
          const { Study } = await import("/static/web/viewer/study.js");
          const bytes = Uint8Array.from(atob(image), (letter) => letter.charCodeAt(0));
          const named = { name, time: new Date() };
          const study = await Study.of(JSON.parse(answer), new Blob([bytes]), named);
          const root = document.createElement("div");
          document.getElementById("place").append(root);
          const viewer = new Viewer(root);
          window.events = [];
          for (const kind of ["select", "hover", "shown"])
            viewer.addEventListener(kind, ({ detail }) => window.events.push([kind, detail]));
          viewer.show(study);
          (window.viewers ??= []).push(viewer);
          window.viewer = viewer;
          // Until the observers of sizes have told theirs.
          for (const _ of [1, 2]) await new Promise(requestAnimationFrame);
        }""",
        [json.dumps(answer), base64.b64encode(image).decode(), name],
    )


async def run(page: Page, module: str, body: str, argument: Any = None) -> Any:
    """Return what the body of a function says that has the names of a viewer's module in `it`."""
    return await page.evaluate(
        f"""async (given) => {{
          const it = await import("/static/web/viewer/{module}");
          {body}
        }}""",
        argument,
    )
