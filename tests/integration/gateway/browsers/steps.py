"""What a clinician does on the page, in the words of `Tab`."""

import asyncio
import base64
import io
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from PIL import Image

from tests.integration.gateway.browsers.tab import PATIENCE_S, Tab
from tests.integration.gateway.test_sessions import PASSWORD

_WATCH = """() => {
  window.failures = [];
  addEventListener("error", ({ message }) => window.failures.push(message));
  addEventListener("unhandledrejection", ({ reason }) => window.failures.push(String(reason)));
}"""
_DONE = "(count) => document.querySelectorAll('.card[data-state=done]').length === count"


@dataclass
class Clinic:
    """The page of a clinician, at an address of the gateway."""

    tab: Tab
    url: str

    async def open(self) -> None:
        await self.tab.open(self.url)
        await self.tab.run(_WATCH)

    async def sign_in(self) -> None:
        await self.tab.click('#sign-in a[href^="/login"]')
        await give_password(self.tab)
        await shows(self.tab, "#person", "okafor")
        await shows(self.tab, "#service", "Ready")  # its scripts run
        await self.tab.run(_WATCH)

    async def analyse(self, *paths: Path) -> None:
        """Add images to an empty queue and have lesions found in them."""
        await self.tab.choose("#file", paths)
        await becomes(
            self.tab, "(n) => document.querySelectorAll('.card').length === n", len(paths)
        )
        await self.tab.click("#submit")
        await becomes(self.tab, _DONE, len(paths))
        await becomes(self.tab, "() => document.querySelector('.pane .viewer')?.hidden === false")

    async def failures(self) -> list[str]:
        """Return what failed in the scripts of the page since it was opened or signed in on."""
        failures: list[str] = await self.tab.run("() => window.failures ?? []")
        return failures


async def give_password(tab: Tab) -> None:
    """Sign in on the sign-in page."""
    await tab.fill("#id_username", "okafor")
    await tab.fill("#id_password", PASSWORD)
    await tab.press("Enter")


async def text(tab: Tab, selector: str) -> str:
    """Return the visible text of an element; "" without the element."""
    words: str = await tab.run("(it) => document.querySelector(it)?.innerText ?? ''", selector)
    return words


async def shows(tab: Tab, selector: str, words: str) -> None:
    """Wait until an element shows these words."""
    function = "(it, words) => document.querySelector(it)?.innerText.includes(words) ?? false"
    await becomes(tab, function, selector, words)


async def becomes(tab: Tab, function: str, *arguments: Any) -> None:
    """Wait until a function of the page returns true. Raises TimeoutError with the page's text."""
    end = monotonic() + PATIENCE_S
    while monotonic() < end:
        if await tab.run(function, *arguments):
            return
        await asyncio.sleep(0.1)
    words = await tab.run("() => document.body.innerText")
    raise TimeoutError(f"{function} {arguments} is not true of this page: {words}")


async def picture(tab: Tab) -> np.ndarray:
    """Return what the viewer has drawn, (H, W, 3) int16 RGB, once the next frames are."""
    url = await tab.run(
        """async () => {
          for (const _ of [1, 2]) await new Promise(requestAnimationFrame);
          return document.querySelector(".viewer-picture canvas").toDataURL("image/png");
        }"""
    )
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    return np.asarray(image.convert("RGB"), np.int16)
