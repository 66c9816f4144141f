"""The pictures of the pages in README and docs: as they are now, within a tolerance.

`make screenshots` takes them anew: it sets SCREENSHOTS to the folder that they are written to.
"""

import io
import os
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from PIL import Image
from playwright.async_api import Browser, Page, expect

from serve_app.paths import ROOT
from tests.integration.gateway.browser import becomes, card, choose, pane, select, sign_in
from tests.integration.gateway.client import Gateway
from tests.integration.gateway.demo_model import demo_answers, example
from tests.integration.gateway.ingress import FakeIngress
from tests.integration.gateway.test_operations_page import healthy, open_operations
from tests.integration.gateway.test_sessions import person

pytestmark = pytest.mark.asyncio(loop_scope="module")

IMAGES = ROOT / "docs" / "images"
_TAKEN_TO = os.environ.get("SCREENSHOTS")
# Fonts differ between machines, and with them the places of lines. A page of another design, or
# without its picture, differs by more, once both are as small as this.
_SMALL = (48, 36)
_MEAN_DIFFERENCE = 6.0  # of 255
_WORST_SHARE = 0.08  # of the pixels may differ by more than 40


@pytest_asyncio.fixture(loop_scope="module")
async def clinic(chromium: Browser, gateway: Gateway, ingress: FakeIngress) -> AsyncIterator[Page]:
    """The page of a signed-in clinician, with the answers of the demo model."""
    ingress.answer = demo_answers()
    await sync_to_async(person)("Dr. Okafor")
    context = await chromium.new_context(
        viewport={"width": 1440, "height": 900}, reduced_motion="reduce", color_scheme="light"
    )
    page = await context.new_page()
    await page.goto(f"http://127.0.0.1:{gateway.port}/")
    await sign_in(page, "Dr. Okafor")
    await expect(page.locator("#service")).to_contain_text("Ready")
    yield page
    await context.close()


async def hold(page: Page, name: str) -> None:
    """Take a picture of the page, and hold it to the stored one."""
    await page.evaluate("document.activeElement?.blur()")
    taken = await page.screenshot(animations="disabled", caret="hide")
    path = IMAGES / name
    if _TAKEN_TO:
        _write(taken, Path(_TAKEN_TO) / name)
        return
    now, stored = Image.open(io.BytesIO(taken)), Image.open(path)
    assert now.size == stored.size, f"{name}: take it anew with `make screenshots`"
    difference = np.abs(_small(now) - _small(stored)).max(axis=2)
    assert difference.mean() < _MEAN_DIFFERENCE, f"{name} shows another page: make screenshots"
    assert (difference > 40).mean() < _WORST_SHARE, f"{name} shows another page: make screenshots"


def _small(image: Image.Image) -> np.ndarray:
    """Return the picture as (36, 48, 3) float32, averaged over areas."""
    reduced = image.convert("RGB").resize(_SMALL, Image.Resampling.BOX)
    return np.asarray(reduced, np.float32)


def _write(taken: bytes, path: Path) -> None:
    """Write a PNG, or a JPEG, which takes a third of the bytes where a photograph is in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.open(io.BytesIO(taken)).convert("RGB")
    picture.save(path, quality=88, subsampling=0, optimize=True)


async def analysed(page: Page, **images: bytes) -> None:
    await choose(page, **images)
    await page.get_by_role("button", name=f"Find lesions in {len(images)} image").click()
    words = f"{len(images)} of {len(images)} images are analysed."
    await expect(page.locator("#progress")).to_contain_text(words, timeout=60_000)


async def settled(page: Page) -> None:
    await expect(pane(page).locator(".view")).to_be_visible()
    await page.wait_for_timeout(400)  # the picture comes with a next frame


EXAMINATION = {
    "native": example(1),
    "acetic acid 1 min": example(2),
    "acetic acid 2 min": example(3),
    "Lugol": example(4),
}


# Steps of the crosshair with which an outline is drawn.
_LEFT, _DOWN, _UP = (["ArrowLeft"] * 4, ["ArrowDown"] * 4, ["ArrowUp"] * 4)


async def test_start(clinic: Page):
    await hold(clinic, "start.png")


async def test_result(clinic: Page):
    await analysed(clinic, **EXAMINATION)
    await settled(clinic)
    await hold(clinic, "result.jpg")


async def test_result_in_the_dark(clinic: Page):
    await clinic.emulate_media(color_scheme="dark")
    await analysed(clinic, **EXAMINATION)
    await select(clinic, "acetic acid 1 min.jpg")
    await settled(clinic)
    await hold(clinic, "result-dark.jpg")


async def test_comparison(clinic: Page):
    await analysed(clinic, **EXAMINATION)
    await clinic.get_by_role("button", name="Compare").click()
    await settled(clinic)
    await hold(clinic, "compare.jpg")


async def test_review(clinic: Page):
    await analysed(clinic, **EXAMINATION)
    await settled(clinic)
    review = pane(clinic).locator(".viewer-side")
    await review.get_by_role("button", name="Review", exact=True).click()
    await review.get_by_role("group", name="Lesion 1,").get_by_text("Reject").click()
    await review.get_by_role("group", name="Lesion 2,").get_by_text("Other class").click()
    await review.get_by_label("Class of lesion 2").select_option("HSIL")
    await review.get_by_label("Class of the missed lesion").select_option("LSIL")
    await review.get_by_role("button", name="Draw its outline").press("Enter")
    path = (*_LEFT, "Space", *_DOWN, "Space", *_LEFT, *_DOWN, "Space", *_LEFT, *_UP, "Space")
    for key in (*path, "Enter", "Enter"):
        await clinic.keyboard.press(key)
    await review.get_by_role("button", name="Accept all others").click()
    await review.get_by_label("Comment").fill("one minute after acetic acid")
    await review.locator(".viewer-scroll").evaluate("(column) => column.scrollTo(0, 0)")
    await clinic.wait_for_timeout(400)
    await hold(clinic, "review.jpg")


async def test_report(clinic: Page):
    await analysed(clinic, **EXAMINATION)
    await clinic.evaluate("() => { window.print = () => { window.isPrinted = true; }; }")
    await clinic.get_by_role("button", name="Report").click()
    await clinic.get_by_label("Patient").fill("Example, A.")
    await clinic.get_by_label("Date of birth").fill("1980-04-12")
    await clinic.get_by_label("Indication").fill("HPV 16 positive, ASC-US")
    await clinic.get_by_label("Only native.jpg").check()
    await clinic.get_by_role("button", name="Print, or save as PDF").click()
    await becomes(lambda: clinic.evaluate("Boolean(window.isPrinted)"))
    await clinic.evaluate("document.getElementById('report-dialog').close()")
    await clinic.set_viewport_size({"width": 760, "height": 900})
    await clinic.emulate_media(media="print")
    await expect(clinic.locator("#report")).to_be_visible()
    await clinic.evaluate("document.body.style.padding = '32px'")  # the margins of paper
    await hold(clinic, "report.jpg")


async def test_phone(clinic: Page):
    await clinic.set_viewport_size({"width": 390, "height": 844})
    await analysed(clinic, **EXAMINATION)
    await expect(card(clinic, "native.jpg")).to_be_visible()
    await settled(clinic)
    await clinic.evaluate("window.scrollTo(0, 0)")
    await hold(clinic, "phone.jpg")


async def test_sign_in(page: Page, ingress: FakeIngress):
    await page.set_viewport_size({"width": 1440, "height": 900})
    await page.goto(page.url + "login/")
    await hold(page, "sign-in.png")


async def test_operations(page: Page, ingress: FakeIngress):
    await sync_to_async(healthy)()
    await page.set_viewport_size({"width": 1280, "height": 900})
    await open_operations(page)
    await expect(page.get_by_role("heading", name="Everything works")).to_be_visible()
    await hold(page, "operations.png")
