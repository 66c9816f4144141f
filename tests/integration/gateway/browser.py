"""What tests do on the clinician's page, and what the ingress answers them."""

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Frame,
    Locator,
    Page,
    WebError,
    expect,
)

from tests.integration.gateway.client import jpeg
from tests.integration.gateway.ingress import FakeIngress, Sent
from tests.integration.gateway.test_sessions import PASSWORD
from tests.quality import statistics

Answer = tuple[int, bytes]
Prepare = Callable[[BrowserContext], Awaitable[None]]


@asynccontextmanager
async def opened(
    chromium: Browser, url: str, prepare: Prepare | None = None, **options: Any
) -> AsyncIterator[Page]:
    """Open a page in a context of its own, as `opened_in` does."""
    context = await chromium.new_context(**options)
    if prepare is not None:
        await prepare(context)
    async with opened_in(context, url) as page:
        yield page
    await context.close()


@asynccontextmanager
async def opened_in(context: BrowserContext, url: str) -> AsyncIterator[Page]:
    """Open a page. No script of it may fail, and no policy may stop it.

    At the end the context has no page and no cookie, and only its cache is left.
    """
    complaints: list[str] = []

    def hear_error(error: WebError) -> None:
        complaints.append(str(error.error))

    def hear_line(line: ConsoleMessage) -> None:
        if "Content Security" in line.text:
            complaints.append(line.text)

    context.on("weberror", hear_error)
    context.on("console", hear_line)
    page = await context.new_page()
    await page.goto(url)
    yield page
    for each in context.pages:
        await each.close()
    context.remove_listener("weberror", hear_error)
    context.remove_listener("console", hear_line)
    await context.clear_cookies()
    await context.set_offline(False)
    await context.set_extra_http_headers({})
    assert complaints == [], complaints


async def cut_off(page: Page) -> list[str]:
    """Return the elements that are wider than the window, or narrower than what is in them."""
    elements: list[str] = await page.evaluate(
        """() => [...document.querySelectorAll("body, body *")]
          .filter((it) => it.getClientRects().length && !it.matches("input"))
          .filter((it) => !it.closest(".visually-hidden, .skip, .cards"))
          .filter((it) => it.getBoundingClientRect().right > innerWidth + 1
                       || it.scrollWidth > it.clientWidth + 1 && it.clientWidth > 0
                          && getComputedStyle(it).display !== "inline"
                          && getComputedStyle(it).clipPath === "none")
          .map((it) => `${it.tagName}.${it.className} ${it.textContent.slice(0, 60)}`)"""
    )
    return elements


async def enter_key(page: Page | Frame, key: str) -> None:
    if not await page.get_by_label("API key").is_visible():
        await page.locator("summary").get_by_text("Use an API key").click()
    await page.get_by_label("API key").fill(key.removeprefix("X-API-Key: "))


async def choose(page: Page, **images: bytes) -> None:
    """Choose images by the file picker; `scan=…` is called "scan.jpg"."""
    await page.locator("#file").set_input_files(
        [
            {"name": f"{name}.jpg", "mimeType": "image/jpeg", "buffer": content}
            for name, content in images.items()
        ]
    )


async def find_lesions(page: Page, **images: bytes) -> None:
    images = images or {"image": jpeg()}
    count = await cards(page).count()
    await choose(page, **images)
    await expect(cards(page)).to_have_count(count + len(images))
    await page.get_by_role("button", name="Find lesions").click()


async def send(page: Page, key: str, **images: bytes) -> None:
    await enter_key(page, key)
    await find_lesions(page, **images)


async def drop(page: Page, x: float, y: float, paths: Sequence[Path]) -> None:
    """Drop files as the mouse does it: what the page leaves alone, the browser opens."""
    devtools = await page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": x, "y": y, "data": data}
        await devtools.send("Input.dispatchDragEvent", event)


def cards(page: Page) -> Locator:
    """Return the images of the queue."""
    return page.locator(".card")


def card(page: Page, name: str) -> Locator:
    """Return the image of this name in the queue."""
    return cards(page).filter(has_text=name)


def pane(page: Page) -> Locator:
    """Return the place of the selected image."""
    return page.locator(".pane").first


async def select(page: Page, name: str) -> None:
    await card(page, name).locator(".pick").click()
    await expect(pane(page).locator(".name")).to_have_text(name)


async def names(page: Page) -> list[str]:
    """Return the names of the images that the page shows."""
    return await page.locator(".card .name").all_inner_texts()


async def sign_in(page: Page, name: str = "nurse", password: str = PASSWORD) -> None:
    await page.get_by_role("link", name="sign in").click()
    await give_password(page, name, password)


async def give_password(page: Page, name: str = "nurse", password: str = PASSWORD) -> None:
    """Sign in on the sign-in page."""
    await page.get_by_label("User name").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def open_start_page(page: Page) -> None:
    """Open the page of images as a person who lands elsewhere after signing in."""
    await page.wait_for_url(re.compile("/(admin|operations)"))
    await page.goto(urljoin(page.url, "/"))


def answer_of(sent: Sent, **changes: Any) -> dict[str, Any]:
    """Return a prediction of the image that was sent."""
    return FakeIngress.predict(sent) | changes


def without_lesions(sent: Sent, **changes: Any) -> dict[str, Any]:
    metrics = {"class_distribution": {"LSIL": 0, "HSIL": 0}, "scores": [], "box_areas": []}
    return answer_of(sent, detections=[], metrics=metrics, **changes)


def ungradable(sent: Sent, *reasons: str, withheld: bool = False) -> dict[str, Any]:
    """Return a prediction of an image that is not gradable, with a lesion unless it is withheld."""
    answer = without_lesions(sent) if withheld else answer_of(sent)
    quality = {"gradable": False, "reasons": list(reasons), "withheld": withheld}
    return answer | {"quality": {"statistics": statistics().model_dump(), **quality}}


def scored(sent: Sent, score: float, label: str = "HSIL") -> dict[str, Any]:
    """Return a prediction of one lesion."""
    answer = answer_of(sent)
    answer["detections"][0] |= {"score": score, "label": label}
    answer["metrics"] |= {"class_distribution": {label: 1}, "scores": [score]}
    return answer


def answering(make: Callable[[Sent], dict[str, Any]]) -> Callable[[Sent], Answer]:
    """Return an ingress's behaviour: a prediction for each image, and a model that is ready."""

    def answer(sent: Sent) -> Answer:
        if sent.path == "/predict":
            return 200, json.dumps(make(sent)).encode()
        return FakeIngress().respond(sent)

    return answer


async def open_report(page: Page) -> None:
    """Open the dialog of the report, on a page that counts what it prints."""
    # In a function of its own: Playwright calls what an expression evaluates to, if it can.
    await page.evaluate(
        "() => { window.prints = 0; window.print = () => { window.prints += 1; }; }"
    )
    await page.get_by_role("button", name="Report").click()


async def print_report(page: Page) -> None:
    await page.get_by_role("button", name="Print, or save as PDF").click()
    await becomes(lambda: page.evaluate("window.prints === 1"))
    await page.emulate_media(media="print")


class Gate:
    """An ingress that keeps the first images waiting until they are let through."""

    def __init__(self, held: int, make: Callable[[Sent], dict[str, Any]] = answer_of) -> None:
        self._events = [threading.Event() for _ in range(held)]
        self._arrivals = 0
        self._answer = answering(make)

    def open(self) -> None:
        for event in self._events:
            event.set()

    async def __call__(self, sent: Sent) -> Answer:
        if sent.path == "/predict":
            self._arrivals += 1
            if self._arrivals <= len(self._events):
                await asyncio.to_thread(self._events[self._arrivals - 1].wait, 30)
        return self._answer(sent)


async def becomes(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait until the condition holds; fail after 30 seconds."""
    async with asyncio.timeout(30):
        while True:
            value = condition()
            if await value if isinstance(value, Awaitable) else value:
                return
            await asyncio.sleep(0.02)
