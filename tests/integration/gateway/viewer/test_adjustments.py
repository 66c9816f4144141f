"""Brightness, contrast and the green filter: on the screen only, and always named there."""

import numpy as np
import pytest
from playwright.async_api import Page, expect

from tests.integration.gateway.viewer import answers
from tests.integration.gateway.viewer.scenes import (
    AT_REST,
    DISCS,
    colour_at,
    picture,
    show_scene,
)
from tests.integration.gateway.viewer.site import show

pytestmark = pytest.mark.asyncio(loop_scope="module")

GROUND = (14, 17, 20)
TISSUE = (190, 120, 120)
COLOURS = ((0, 0, 0), (20, 60, 100), (128, 128, 128), (190, 120, 120), (240, 250, 200), (255,) * 3)
EMPTY = (320, 240)  # a place of the scene without a lesion


def adjusted(colour, brightness: int, contrast: int) -> np.ndarray:
    """Return an RGB as CSS's brightness() and contrast() leave it."""
    levels = np.clip(np.array(colour) / 255 * (1 + brightness / 100), 0, None)
    return 255 * np.clip((levels - 0.5) * (1 + contrast / 100) + 0.5, 0, 1)


async def adjust(page: Page, green: bool = False, **values: int) -> None:
    """Adjust the picture in its panel, and close that."""
    await page.get_by_role("button", name="Picture", exact=True).click()
    for name, value in values.items():
        await page.get_by_role("slider", name=name.capitalize()).fill(str(value))
    if green:
        await page.get_by_label("Green filter").check()
    await page.keyboard.press("Escape")


def words(page: Page):
    return page.locator(".viewer-adjusted span")


@pytest.mark.parametrize("green", [False, True], ids=["colours", "green"])
@pytest.mark.parametrize(
    ("brightness", "contrast"),
    [(0, 0), (50, 0), (-50, 0), (0, 100), (0, -50), (100, 100), (100, -50), (-50, 100), (-50, -50)],
)
async def test_colours_are_those_of_css_filters(page: Page, brightness, contrast, green):
    pixels = np.repeat(np.repeat(np.array([COLOURS], np.uint8), 100, axis=1), 480, axis=0)
    image = answers.png(pixels)
    await show(page, answers.answer(image, []), image)
    await adjust(page, green, brightness=brightness, contrast=contrast)
    for index, colour in enumerate(COLOURS):
        expected = adjusted(colour, brightness, contrast) * ((0, 1, 0) if green else (1, 1, 1))
        shown = await colour_at(page, 100 * index + 50, 240)
        assert shown == pytest.approx(expected.tolist(), abs=4)


async def test_ground_and_edges_of_image_stay_clean(page: Page):
    """Blending over parts of pixels would leave lines along the edges of the image."""
    await show_scene(page)
    await page.evaluate("viewer.viewport.set({ scale: 1.2345, x: 320, y: 240 })")
    await adjust(page, contrast=60)
    await page.evaluate(AT_REST)
    row = await page.evaluate(
        """() => {
          const canvas = document.querySelector(".viewer-picture canvas");
          const { width, height } = canvas;
          return [...canvas.getContext("2d").getImageData(0, height / 2, width, 1).data];
        }"""
    )
    levels = np.reshape(row, (-1, 4))[:, :3]  # without a lesion
    assert tuple(levels[0]) == tuple(levels[-1]) == GROUND
    bounds = np.array([GROUND, adjusted(GROUND, 0, 60), adjusted(TISSUE, 0, 60)])
    assert (levels >= bounds.min(0) - 4).all()
    assert (levels <= bounds.max(0) + 4).all()


async def test_lesions_and_original_keep_their_colours(page: Page):
    await show_scene(page)
    await page.get_by_label("Opacity of the lesions").fill("100")
    await page.keyboard.press("b")
    before = await colour_at(page, *DISCS[0][2:4])
    await adjust(page, green=True, brightness=50)
    assert await colour_at(page, *EMPTY) == pytest.approx([0, 180, 0], abs=3)
    assert await colour_at(page, *DISCS[0][2:4]) == before
    assert await colour_at(page, *EMPTY, ".viewer-original") == list(TISSUE)


async def test_small_picture_of_whole_is_adjusted_too(page: Page):
    await show_scene(page)
    await page.evaluate("viewer.viewport.set(viewer.viewport.zoomed(3))")
    await adjust(page, green=True)
    await page.evaluate(AT_REST)
    colour = await page.evaluate(
        """() => [...document.querySelector(".viewer-overview")
          .getContext("2d").getImageData(3, 3, 1, 1).data].slice(0, 3)"""
    )
    assert colour == pytest.approx([0, TISSUE[1], 0], abs=2)


async def test_downloaded_picture_is_as_taken(page: Page):
    await show_scene(page)
    before = await picture(page, "{ maxSide: Infinity }")
    await adjust(page, green=True, brightness=40, contrast=-30)
    assert (await picture(page, "{ maxSide: Infinity }") == before).all()


async def test_picture_says_how_it_differs_until_it_is_reset(page: Page):
    await show_scene(page)
    await expect(page.locator(".viewer-adjusted")).to_be_hidden()
    await adjust(page, green=True, brightness=20, contrast=-10)
    await expect(words(page)).to_have_text(
        "Not as taken: green filter, brightness +20 %, contrast \N{MINUS SIGN}10 %"
    )
    await page.get_by_role("button", name="As taken").click()
    await expect(page.locator(".viewer-adjusted")).to_be_hidden()
    await expect(page.locator(".viewer-picture")).to_be_focused()
    await expect(page.get_by_role("status").last).to_have_text("The picture is as it was taken.")
    assert await colour_at(page, *EMPTY) == list(TISSUE)
    await page.get_by_role("button", name="Picture", exact=True).click()
    await expect(page.get_by_label("Green filter")).not_to_be_checked()
    await expect(page.get_by_role("slider", name="Brightness")).to_have_value("0")


async def test_key_switches_green_filter(page: Page):
    await show_scene(page)
    await page.locator(".viewer-picture").focus()
    await page.keyboard.press("g")
    await expect(page.get_by_role("status").last).to_have_text("Not as taken: green filter")
    assert await colour_at(page, *EMPTY) == [0, TISSUE[1], 0]
    await page.keyboard.press("g")
    await expect(page.get_by_role("status").last).to_have_text("Green filter off.")
    assert await colour_at(page, *EMPTY) == list(TISSUE)


async def test_panel_works_with_keys_only(page: Page):
    await show_scene(page)
    await page.locator(".viewer-picture").focus()
    await page.keyboard.press("i")
    await expect(page.get_by_role("region", name="Picture")).to_be_focused()
    for key in ("Tab", "Tab", "Space", "Tab", "ArrowRight", "ArrowRight", "Tab", "ArrowLeft"):
        await page.keyboard.press(key)
    await expect(words(page)).to_have_text(
        "Not as taken: green filter, brightness +10 %, contrast \N{MINUS SIGN}5 %"
    )
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Picture", exact=True)).to_be_focused()


async def test_next_image_is_as_taken(page: Page):
    await show_scene(page)
    await adjust(page, green=True)
    await page.evaluate("window.first = viewer")
    await show_scene(page)
    await page.evaluate("first.show(viewer.study); window.viewer = first")
    await expect(page.locator(".viewer-adjusted").first).to_be_hidden()
    assert await colour_at(page, *EMPTY) == list(TISSUE)


async def test_outline_is_edited_under_green_filter(page: Page):
    await show_scene(page)
    await adjust(page, green=True)
    await page.evaluate(
        """async () => {
          const { OutlineEditor } = await import("/static/web/viewer/outline_editor.js");
          window.editor = new OutlineEditor(viewer);
          editor.addEventListener("outline", ({ detail }) => { window.outline = detail; });
          editor.edit(1, [[300, 200, 400, 200, 400, 300]]);
        }"""
    )
    await expect(words(page)).to_have_text("Not as taken: green filter")
    await page.keyboard.press("Enter")
    assert await page.evaluate("outline.segmentation") == [[300, 200, 400, 200, 400, 300]]


@pytest.mark.parametrize("width", [390, 700, 1366])
async def test_panel_and_words_leave_picture_in_sight(page: Page, width):
    await page.set_viewport_size({"width": width, "height": 768})
    await show_scene(page)
    before = await page.locator(".viewer-stage").bounding_box()
    await page.get_by_role("button", name="Picture", exact=True).click()
    panel = await page.get_by_role("region", name="Picture").bounding_box()
    assert await page.locator(".viewer-stage").bounding_box() == before
    assert (
        panel["x"] >= before["x"] + before["width"] or panel["y"] >= before["y"] + before["height"]
    )
    await page.get_by_label("Green filter").check()
    await page.get_by_role("button", name="As taken").click()  # nothing lies over it
    await expect(page.locator(".viewer-adjusted")).to_be_hidden()


async def test_panel_opens_while_outline_is_edited(page: Page):
    await show_scene(page)
    await page.evaluate(
        """async () => {
          const { OutlineEditor } = await import("/static/web/viewer/outline_editor.js");
          new OutlineEditor(viewer).edit(0);
        }"""
    )
    await adjust(page, green=True, brightness=20)
    await expect(words(page)).to_have_text("Not as taken: green filter, brightness +20 %")
    await expect(page.locator(".viewer-editor")).to_be_visible()
