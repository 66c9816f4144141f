"""The clinician's page on narrow screens, by keyboard and for files that are dropped anywhere."""

from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from playwright.async_api import Page, expect

from tests.integration.gateway.browser import (
    Gate,
    answer_of,
    answering,
    card,
    cards,
    cut_off,
    drop,
    names,
    open_start_page,
    pane,
    send,
    sign_in,
)
from tests.integration.gateway.client import jpeg
from tests.integration.gateway.ingress import FakeIngress, Sent
from tests.integration.gateway.test_sessions import person

pytestmark = pytest.mark.asyncio(loop_scope="module")


def wide(sent: Sent) -> dict:
    """Return a prediction with the longest texts that the columns hold."""
    answer = answer_of(sent)
    lesion = answer["detections"][0]
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
    await send(page, key, **{"a long name without a space ".replace(" ", "_") * 8: jpeg(1280, 960)})
    await expect(pane(page).locator(".view")).to_be_visible()
    assert await cut_off(page) == []


async def press(page: Page, *keys: str) -> None:
    for key in keys:
        await page.keyboard.press(key)


async def test_page_works_with_keyboard_only(page: Page, key: str, ingress: FakeIngress):
    await page.get_by_label("API key").focus()
    await page.keyboard.type(key.removeprefix("X-API-Key: "))
    await page.keyboard.press("Tab")
    await expect(page.locator("#file")).to_be_focused()
    outline = "getComputedStyle(document.querySelector('label.button')).outlineStyle"
    assert await page.evaluate(outline) == "solid"
    async with page.expect_file_chooser() as chooser:
        await page.keyboard.press("Space")
    await (await chooser.value).set_files(
        [
            {"name": f"{name}.jpg", "mimeType": "image/jpeg", "buffer": jpeg()}
            for name in ("a", "b", "c")
        ]
    )
    await expect(cards(page)).to_have_count(3)
    await press(page, "Tab")
    await expect(card(page, "a.jpg").locator(".pick")).to_be_focused()
    await press(page, "ArrowDown")
    await expect(card(page, "b.jpg").locator(".pick")).to_be_focused()
    await expect(pane(page).locator(".name")).to_have_text("b.jpg")
    await press(page, "Delete")
    await expect(card(page, "c.jpg").locator(".pick")).to_be_focused()
    assert await names(page) == ["a.jpg", "c.jpg"]
    await press(page, "Tab", "Tab")  # the button that removes it
    await expect(page.get_by_role("button", name="Find lesions in 2 images")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="c.jpg")).to_be_focused()


async def test_page_works_with_touch_only(page: Page, key: str, ingress: FakeIngress, chromium):
    context = await chromium.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    phone = await context.new_page()
    await phone.goto(page.url)
    await phone.get_by_label("API key").fill(key.removeprefix("X-API-Key: "))
    async with phone.expect_file_chooser() as chooser:
        await phone.locator("label[for=file]").tap()
    await (await chooser.value).set_files(
        [
            {"name": f"{name}.jpg", "mimeType": "image/jpeg", "buffer": jpeg(640, 480)}
            for name in ("a", "b", "c")
        ]
    )
    await phone.get_by_role("button", name="Remove c.jpg").tap()
    await phone.get_by_role("button", name="Find lesions in 2 images").tap()
    await expect(phone.locator("#progress")).to_have_text("2 of 2 images are analysed.")
    await card(phone, "b.jpg").locator(".pick").tap()
    await expect(pane(phone).locator(".name")).to_have_text("b.jpg")
    await phone.get_by_role("button", name="Compare").tap()
    await expect(phone.locator(".pane").nth(1).locator(".view")).to_be_visible()
    await phone.get_by_role("button", name="New examination").tap()
    await phone.get_by_role("button", name="Remove them and begin").tap()
    await expect(cards(phone)).to_have_count(0)
    await context.close()


async def test_first_link_leads_to_selected_image(page: Page, ingress: FakeIngress):
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the selected image")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#stage")).to_be_focused()


async def test_result_does_not_move_focus(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = gate = Gate(1)
    await send(page, key)
    await cards(page).locator(".pick").focus()
    gate.open()
    await expect(page.get_by_role("heading", name="1 lesion found")).to_be_visible()
    await expect(cards(page).locator(".pick")).to_be_focused()


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
    await expect(pane(page).locator(".demo-answer")).to_be_visible()
