"""How a picture is shown, and what is measured in it, while a person goes from image to image."""

import pytest
from playwright.async_api import Locator, Page, expect

from tests.integration.gateway.browser import pane, select, send
from tests.integration.gateway.client import jpeg
from tests.integration.gateway.ingress import FakeIngress

pytestmark = pytest.mark.asyncio(loop_scope="module")

GREEN = "Not as taken: green filter"


async def two_images(page: Page, key: str) -> None:
    await send(page, key, first=jpeg(640, 480), second=jpeg(620, 480))
    await expect(page.locator("#progress")).to_have_text("2 of 2 images are analysed.")


async def filter_green(place: Locator) -> None:
    await place.locator(".viewer-picture").focus()
    await place.page.keyboard.press("g")


def adjusted(place: Locator) -> Locator:
    return place.locator(".viewer-adjusted span")


async def test_adjustments_end_with_their_image(page: Page, key: str, ingress: FakeIngress):
    await two_images(page, key)
    await filter_green(pane(page))
    await expect(adjusted(pane(page))).to_have_text(GREEN)
    for name in ("second.jpg", "first.jpg"):
        await select(page, name)
        await expect(pane(page).locator(".view")).to_be_visible()
        await expect(adjusted(pane(page))).to_be_hidden()


async def test_images_that_are_compared_are_adjusted_alike(
    page: Page, key: str, ingress: FakeIngress
):
    await two_images(page, key)
    await page.get_by_role("button", name="Compare").click()
    panes = [page.locator(".pane").nth(index) for index in (0, 1)]
    await expect(panes[1].locator(".view")).to_be_visible()
    await page.get_by_label("Zoom and move both together").uncheck()
    await filter_green(panes[1])
    for each in panes:
        await expect(adjusted(each)).to_have_text(GREEN)
    await panes[0].get_by_role("button", name="As taken").click()
    for each in panes:
        await expect(adjusted(each)).to_be_hidden()


async def test_lines_survive_other_image_but_no_new_examination(
    page: Page, key: str, ingress: FakeIngress
):
    await two_images(page, key)
    lines = pane(page).get_by_role("list", name="Measured lines").get_by_role("listitem")
    await pane(page).locator(".viewer-picture").focus()
    for pressed in ("m", "Enter", "ArrowDown", "Enter"):
        await page.keyboard.press(pressed)
    await expect(lines).to_have_count(1)
    await select(page, "second.jpg")
    await expect(lines).to_have_count(0)
    await select(page, "first.jpg")
    await expect(lines).to_have_count(1)
    await page.get_by_role("button", name="New examination").click()
    await page.get_by_role("button", name="Remove them and begin").click()
    await send(page, key, first=jpeg(640, 480))
    await expect(pane(page).locator(".view")).to_be_visible()
    await expect(lines).to_have_count(0)
