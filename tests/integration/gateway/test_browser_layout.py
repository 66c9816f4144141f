"""The clinician's page on narrow screens, by keyboard and for files that are dropped anywhere."""

from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from playwright.async_api import Page, expect

from tests.integration.gateway.browser import (
    answer_of,
    answering,
    drop,
    open_start_page,
    send,
    sign_in,
)
from tests.integration.gateway.client import jpeg
from tests.integration.gateway.ingress import FakeIngress, Sent, prediction
from tests.integration.gateway.test_sessions import person

pytestmark = pytest.mark.asyncio(loop_scope="module")


def wide(sent: Sent) -> dict:
    """Return a prediction with the longest texts that the columns hold."""
    answer = answer_of(sent, below_threshold=12)
    lesion = prediction("")["detections"][0]
    labels = ["carcinoma", "W" * 200, "high grade squamous intraepithelial lesion"]
    answer["detections"] = [
        lesion | {"id": index, "label": label, "score": 1.0, "mask_area": 9_999_999}
        for index, label in enumerate(labels)
    ]
    answer["metrics"] = {
        "class_distribution": dict.fromkeys(labels, 1),
        "scores": [1.0] * 3,
        "box_areas": [100.0] * 3,
    }
    return answer


@pytest.mark.parametrize("width", [320, 360, 412, 640, 900, 1280])
async def test_no_column_is_cut_off(page: Page, key: str, ingress: FakeIngress, width: int):
    ingress.answer = answering(wide)
    await page.set_viewport_size({"width": width, "height": 740})
    await page.get_by_role("slider").fill("0.9")
    await send(page, key, **{"a long name without a space ".replace(" ", "_") * 8: jpeg(1280, 960)})
    await expect(page.locator(".overlay")).to_be_visible()
    cut_off = await page.evaluate(
        """() => [...document.querySelectorAll("body, body *")]
          .filter((it) => it.getClientRects().length && !it.matches("input"))
          .filter((it) => it.getBoundingClientRect().right > innerWidth + 1
                       || it.scrollWidth > it.clientWidth + 1 && it.clientWidth > 0
                          && getComputedStyle(it).display !== "inline")
          .map((it) => it.tagName + "." + it.className)"""
    )
    assert cut_off == [], " ".join(cut_off)


async def test_page_works_with_keyboard_only(page: Page, key: str, ingress: FakeIngress):
    await page.get_by_label("API key").focus()
    await page.keyboard.type(key.removeprefix("X-API-Key: "))
    await page.keyboard.press("Tab")  # the link to sign in
    await page.keyboard.press("Tab")
    await expect(page.locator("#file")).to_be_focused()
    outline = "getComputedStyle(document.querySelector('label.button')).outlineStyle"
    assert await page.evaluate(outline) == "solid"
    async with page.expect_file_chooser() as chooser:
        await page.keyboard.press("Space")
    await (await chooser.value).set_files(
        [{"name": "scan.jpg", "mimeType": "image/jpeg", "buffer": jpeg()}]
    )
    await page.keyboard.press("Tab")
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("slider")).to_have_attribute("aria-valuetext", "5.0 %")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="scan.jpg")).to_be_focused()


async def test_result_does_not_move_focus(page: Page, key: str, ingress: FakeIngress):
    await send(page, key)
    await page.get_by_role("slider").focus()
    await expect(page.get_by_role("heading", name="1 lesion found")).to_be_visible()
    await expect(page.get_by_role("slider")).to_be_focused()


async def assert_drop_is_caught(page: Page, path: Path) -> None:
    """A browser opens the file unless the page prevents its default, of both events."""
    path.write_bytes(jpeg())
    await page.evaluate(
        """() => {
          window.caught = {};
          for (const kind of ["dragover", "drop"])
            window.addEventListener(kind, (it) => { window.caught[kind] = it.defaultPrevented; });
        }"""
    )
    await drop(page, 100, 400, [path])
    await page.wait_for_function("'dragover' in window.caught")
    assert await page.evaluate("window.caught") == {"dragover": True, "drop": True}


@pytest.mark.parametrize("address", ["", "login/", "nowhere"])
async def test_dropped_file_is_never_opened(page: Page, tmp_path: Path, address: str):
    await page.goto(f"{page.url}{address}")
    await assert_drop_is_caught(page, tmp_path / "scan.jpg")


async def test_browser_does_not_open_file_that_auditor_drops(page: Page, tmp_path: Path):
    await sync_to_async(person)("auditor", "auditor")
    await sign_in(page, "auditor")
    await open_start_page(page)
    await expect(page.get_by_text("Signed in as auditor")).to_be_visible()
    await assert_drop_is_caught(page, tmp_path / "scan.jpg")


async def test_unknown_address_shows_error_page(page: Page):
    response = await page.goto(f"{page.url}nowhere")
    assert response.status == 404
    await expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    await page.get_by_role("link", name="Go to the start page").click()
    await expect(page.get_by_label("API key")).to_be_visible()


async def test_result_names_demo_model(page: Page, key: str, ingress: FakeIngress):
    def demo(sent: Sent) -> dict:
        answer = answer_of(sent)
        answer["model"]["name"] = "demo"
        return answer

    ingress.answer = answering(demo)
    await send(page, key)
    await expect(page.locator(".demo-answer")).to_be_visible()
