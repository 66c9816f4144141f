"""Two images beside each other on the clinician's page."""

import os
import re
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from tests.integration.gateway.browser import (
    answer_of,
    answering,
    card,
    enter_key,
    pane,
    scored,
    select,
    send,
)
from tests.integration.gateway.client import jpeg
from tests.integration.gateway.ingress import FakeIngress, Sent

pytestmark = pytest.mark.asyncio(loop_scope="module")


def by_width(sent: Sent) -> dict:
    return scored(sent, answer_of(sent)["image"]["width"] / 1000)


def second(page: Page) -> Locator:
    return page.locator(".pane").nth(1)


async def compared(page: Page, key: str, ingress: FakeIngress) -> None:
    ingress.answer = answering(by_width)
    await send(page, key, before=jpeg(610, 480), after=jpeg(620, 480), later=jpeg(630, 480))
    await expect(page.locator("#progress")).to_have_text("3 of 3 images are analysed.")
    await page.get_by_role("button", name="Compare").click()
    await expect(second(page).locator(".view")).to_be_visible()


async def test_two_images_are_shown_with_their_own_results(
    page: Page, key: str, ingress: FakeIngress
):
    await compared(page, key, ingress)
    await expect(pane(page).locator(".view")).to_contain_text("61.0 %")
    await expect(second(page).locator(".view")).to_contain_text("62.0 %")
    other = page.get_by_label("Compared with")
    await expect(other.locator("option")).to_have_text(["after.jpg", "later.jpg"])
    await other.select_option("later.jpg")
    await expect(second(page).locator(".view")).to_contain_text("63.0 %")
    await expect(second(page).locator(".provenance")).to_contain_text("630 \N{MULTIPLICATION SIGN}")
    await expect(pane(page).locator(".view")).to_contain_text("61.0 %")
    await select(page, "after.jpg")
    await expect(pane(page).locator(".view")).to_contain_text("62.0 %")
    await expect(second(page).locator(".view")).to_contain_text("63.0 %")


async def zooms(page: Page) -> tuple[float, float]:
    """Return the zoom of both images in percent, once it stands still."""
    await page.wait_for_timeout(500)
    first, other = await page.locator(".pane .viewer-zoom").all_inner_texts()
    return float(first.removesuffix(" %")), float(other.removesuffix(" %"))


async def test_zoom_of_both_is_linked_until_it_is_released(
    page: Page, key: str, ingress: FakeIngress
):
    await compared(page, key, ingress)
    whole = await zooms(page)
    await pane(page).get_by_role("button", name="Zoom in").click()
    linked = await zooms(page)
    factors = [after / before for before, after in zip(whole, linked, strict=True)]
    assert factors[0] > 1.1
    assert factors[1] == pytest.approx(factors[0], rel=0.03)
    await page.get_by_label("Zoom and move both together").uncheck()
    await pane(page).get_by_role("button", name="Zoom in").click()
    released = await zooms(page)
    assert released[0] > linked[0]
    assert released[1] == linked[1]


async def test_comparison_ends_with_its_images(page: Page, key: str, ingress: FakeIngress):
    await compared(page, key, ingress)
    await page.get_by_role("button", name="Remove after.jpg").click()
    await expect(second(page).locator(".view")).to_contain_text("63.0 %")
    await page.get_by_role("button", name="Remove later.jpg").click()
    await expect(second(page)).to_be_hidden()
    await expect(page.locator("#compare")).to_be_hidden()
    await expect(pane(page).locator(".view")).to_contain_text("61.0 %")


async def test_comparison_can_be_left(page: Page, key: str, ingress: FakeIngress):
    await compared(page, key, ingress)
    await page.get_by_role("button", name="End comparing").click()
    await expect(second(page)).to_be_hidden()
    await expect(page.get_by_role("button", name="Compare")).to_be_visible()


async def test_older_file_is_on_the_left_until_they_are_swapped(
    page: Page, key: str, ingress: FakeIngress, tmp_path: Path
):
    ingress.answer = answering(by_width)
    await enter_key(page, key)
    for width, name, written in ((620, "october", 1_790_000_000), (610, "april", 1_776_000_000)):
        (tmp_path / f"{name}.jpg").write_bytes(jpeg(width, 480))
        os.utime(tmp_path / f"{name}.jpg", (written, written))
    files = [tmp_path / "october.jpg", tmp_path / "april.jpg"]
    await page.locator("#file").set_input_files(files)
    await page.get_by_role("button", name="Find lesions").click()
    await expect(page.locator("#progress")).to_have_text("2 of 2 images are analysed.")
    await page.get_by_role("button", name="Compare").click()
    table = page.locator("#comparison-table")
    await expect(table.locator("bdi")).to_have_text(["april.jpg", "october.jpg"])
    await expect(pane(page).locator(".name")).to_have_text("april.jpg")
    await expect(table.locator("tbody tr")).to_have_text([re.compile(r"HSIL1 \(.* px\)1 \(")])
    await expect(page.locator("#comparison-note")).to_contain_text("cannot be compared")
    await page.get_by_role("button", name="Swap").click()
    await expect(table.locator("bdi")).to_have_text(["october.jpg", "april.jpg"])
    await expect(pane(page).locator(".name")).to_have_text("october.jpg")


async def test_single_result_cannot_be_compared(page: Page, key: str, ingress: FakeIngress):
    await send(page, key, a=jpeg())
    await expect(card(page, "a.jpg")).to_have_attribute("data-state", "done")
    await expect(page.get_by_role("button", name="Compare")).to_be_hidden()
