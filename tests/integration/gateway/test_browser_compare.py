"""Two images beside each other on the clinician's page."""

import os
import re
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from playwright.async_api import Locator, Page, expect

from tests.integration.gateway.browser import (
    answer_of,
    answering,
    card,
    enter_key,
    find_lesions,
    pane,
    scored,
    select,
    send,
    sign_in,
    without_lesions,
)
from tests.integration.gateway.client import jpeg
from tests.integration.gateway.demo_model import demo_answers, example
from tests.integration.gateway.ingress import FakeIngress, Sent
from tests.integration.gateway.test_browser_report import say
from tests.integration.gateway.test_sessions import person
from tests.integration.gateway.viewer.scenes import AT_REST
from tests.quality import statistics

pytestmark = pytest.mark.asyncio(loop_scope="module")


def by_width(sent: Sent) -> dict:
    return scored(sent, answer_of(sent)["image"]["width"] / 1000)


def second(page: Page) -> Locator:
    return page.locator(".pane").nth(1)


async def compared(page: Page, key: str, ingress: FakeIngress) -> None:
    ingress.answer = answering(by_width)
    await page.emulate_media(reduced_motion="reduce")  # a view is where it was sent at once
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
    """Return the zoom of both images in percent, once they are painted."""
    await page.evaluate(AT_REST)
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


def table(page: Page) -> Locator:
    return page.locator("#comparison-table tbody tr")


def note(page: Page) -> Locator:
    return page.locator("#comparison-note")


def review(page: Page) -> Locator:
    """Return the column of the list, with the review in it."""
    return pane(page).locator(".viewer-side")


async def examined(page: Page, ingress: FakeIngress) -> None:
    """Sign a clinician in, and have the demo model look at two of its examples."""
    ingress.answer = demo_answers()
    await sync_to_async(person)()
    await sign_in(page)
    await find_lesions(page, first=example(1), second=example(2))
    await expect(page.locator("#progress")).to_have_text("2 of 2 images are analysed.")
    await expect(pane(page).locator(".viewer-picture")).to_be_visible()


MODEL = [
    re.compile(r"^carcinoma1 \([\d,]+ px\)none$"),
    re.compile(r"^HSIL1 \([\d,]+ px\)2 \(largest"),
    re.compile(r"^LSIL1 \([\d,]+ px\)2 \(largest"),
]


async def test_table_has_what_is_left_after_saved_review(page: Page, ingress: FakeIngress):
    await examined(page, ingress)
    outline = [[100, 100, 200, 100, 200, 200, 100, 200]]
    missed = [
        {"label": "carcinoma", "outline": outline},
        {"label": "carcinoma", "outline": outline},
    ]
    relabelled = {"id": 1, "label": "LSIL", "verdict": "relabel", "new_label": "HSIL"}
    rejected = {"id": 0, "label": "HSIL", "verdict": "reject"}
    await say(page, lesions=[rejected, relabelled], missed=missed)
    await page.get_by_role("button", name="Compare").click()
    await expect(table(page)).to_have_text(
        [
            re.compile(r"^carcinomaModel: 1 \(.*After review: 3 \(largest 10,000 px\)none$"),
            re.compile(r"^HSILModel: 1 \(7,124 px\)After review: 1 \(23,923 px\)2 \(largest"),
            re.compile(r"^LSILModel: 1 \(23,923 px\)After review: none2 \(largest"),
        ]
    )
    await expect(note(page)).to_contain_text(
        "1 of 3 lesions in first.jpg is not judged, and counts as the model found it."
    )
    await expect(note(page)).not_to_contain_text("second.jpg")


async def test_note_tells_of_class_that_is_not_named(page: Page, ingress: FakeIngress):
    await examined(page, ingress)
    await page.get_by_role("button", name="Compare").click()
    await review(page).get_by_role("button", name="Review", exact=True).click()
    await review(page).get_by_role("group", name="Lesion 2,").get_by_text("Other class").click()
    await expect(table(page).last).to_contain_text("After review: 1")
    for words in (
        "2 of 3 lesions in first.jpg are not judged",
        "1 lesion in first.jpg is of another class, which is not named yet",
        "The review of first.jpg is not saved.",
    ):
        await expect(note(page)).to_contain_text(words)


async def test_table_follows_review_while_it_is_made(page: Page, ingress: FakeIngress):
    await examined(page, ingress)
    await page.get_by_role("button", name="Compare").click()
    await expect(table(page)).to_have_text(MODEL)
    await review(page).get_by_role("button", name="Review", exact=True).click()
    await review(page).get_by_role("group", name="Lesion 3,").get_by_text("Reject").click()
    await expect(table(page).first).to_contain_text("After review: none")
    await expect(note(page)).to_contain_text("The review of first.jpg is not saved.")
    await expect(note(page)).to_contain_text("does not say whether the model missed a lesion")
    await review(page).get_by_label("The image").select_option("glare")
    await expect(table(page).first).to_contain_text("After review: not reliable")
    head = page.locator("#comparison-table thead .unreliable")
    await expect(head).to_have_text(
        "Clinician: The image cannot be judged. The image has too much glare."
    )


async def test_unreliable_image_is_never_said_to_have_none(page: Page, key: str, ingress):
    def dark(sent: Sent) -> dict:
        """Return an answer on an image that is not gradable, with a lesion where it is wide."""
        quality = {"gradable": False, "reasons": ["too_dark"], "withheld": False}
        is_wide = answer_of(sent)["image"]["width"] > 600
        answer = answer_of(sent) if is_wide else without_lesions(sent)
        return answer | {"quality": {"statistics": statistics().model_dump(), **quality}}

    ingress.answer = answering(dark)
    await send(page, key, a=jpeg(500, 400), b=jpeg(640, 480))
    await expect(page.locator("#progress")).to_contain_text("2 of 2 images are analysed.")
    await page.get_by_role("button", name="Compare").click()
    await expect(table(page)).to_have_text(["HSILnot reliable1 (80 px), not reliable"])
    await expect(page.locator("#comparison-table thead .unreliable")).to_have_count(2)


async def test_reviews_that_cannot_be_read_are_named(page: Page, ingress: FakeIngress):
    await examined(page, ingress)
    await page.route("**/records/**", lambda route: route.abort())
    await page.get_by_role("button", name="Compare").click()
    await expect(table(page)).to_have_text(MODEL)
    for name in ("first.jpg", "second.jpg"):
        await expect(note(page)).to_contain_text(f"Whether {name} was reviewed cannot be read.")


async def test_comparison_brings_picture_into_view_on_phone(page: Page, ingress: FakeIngress):
    await page.set_viewport_size({"width": 390, "height": 844})
    await examined(page, ingress)
    await review(page).get_by_role("button", name="Review", exact=True).click()
    await review(page).get_by_label("Comment").scroll_into_view_if_needed()
    picture = page.locator(".viewer-picture")
    await expect(picture.first).not_to_be_in_viewport()
    await page.locator("#compare").evaluate("(button) => button.click()")
    await expect(picture.first).to_be_in_viewport(ratio=0.6)


async def test_comparison_brings_both_pictures_into_view_on_laptop(
    page: Page, ingress: FakeIngress
):
    await page.set_viewport_size({"width": 1366, "height": 768})
    await examined(page, ingress)
    compare, picture = page.locator("#compare"), page.locator(".viewer-picture")
    await compare.click()
    await page.locator("#stage").evaluate("(stage) => stage.scrollTo(0, stage.scrollHeight)")
    await expect(picture.first).not_to_be_in_viewport(ratio=0.6)
    await compare.click()
    await compare.click()
    await expect(picture.first).to_be_in_viewport(ratio=0.6)
    await expect(picture.nth(1)).to_be_in_viewport(ratio=0.6)
