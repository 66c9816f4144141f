"""What a reviewer says about lesions: painted over the model's, and told in words."""

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.async_api import Page, expect

from tests.integration.gateway.viewer import answers
from tests.integration.gateway.viewer.scenes import (
    AT_REST,
    DISCS,
    HEIGHT,
    WIDTH,
    colour_at,
    on_screen,
    show_scene,
)
from tests.integration.gateway.viewer.site import show

pytestmark = pytest.mark.asyncio(loop_scope="module")

GREY = [190, 120, 120]
YELLOW, VIOLET, BLACK = [255, 227, 77], [122, 22, 196], [0, 0, 0]  # LSIL, carcinoma, around LSIL
LEFT, TOP, RIGHT, BOTTOM = 260, 200, 330, 260  # clear of all discs
SQUARE = [[LEFT, TOP, RIGHT, TOP, RIGHT, BOTTOM, LEFT, BOTTOM]]
MISSED = {"id": "missed", "letter": "A", "label": "LSIL", "outline": SQUARE}


def verdict(lesion: int, verdict: str, label: str | None = None, outline: Any = None) -> dict:
    return {"id": lesion, "verdict": verdict, "newLabel": label, "outline": outline}


async def annotate(page: Page, *verdicts: dict, missed: tuple = (), saved: bool = True) -> None:
    review = {"verdicts": verdicts, "missed": missed, "isSaved": saved}
    await page.evaluate(f"viewer.annotate({json.dumps(review)})")


async def colours_along(
    page: Page, y: float, x1: float, x2: float, height: float = 0
) -> np.ndarray:
    """Return the RGB along a line of the image or in a band, (N, 3), once the picture rests."""
    await page.evaluate(AT_REST)
    row = await page.evaluate(
        """([y, x1, x2, height]) => {
          const context = document.querySelector(".viewer-picture canvas").getContext("2d");
          const [left, down] = viewer.viewport.toScreen([x1, y]);
          const [right, bottom] = viewer.viewport.toScreen([x2, y + height]);
          const lines = Math.max(1, bottom - down);
          return [...context.getImageData(left, down, right - left, lines).data];
        }""",
        [y, x1, x2, height],
    )
    return np.reshape(row, (-1, 4))[:, :3]


def share(colours: np.ndarray, colour: list[int]) -> float:
    """Return the share of pixels that have nearly this colour."""
    return float((np.abs(colours - np.array(colour)).max(axis=1) < 40).mean())


@pytest.mark.parametrize("zoom", [1, 6], ids=["whole", "zoomed"])
async def test_missed_lesion_has_dashes_of_its_class(page: Page, zoom: int):
    await show_scene(page)
    await annotate(page, missed=(MISSED,))
    await page.evaluate(
        "([zoom, x, y]) => viewer.viewport.set({ scale: zoom * viewer.viewport.fitScale, x, y })",
        [zoom, 295, TOP],
    )
    line = await colours_along(page, TOP, LEFT + 10, RIGHT - 30)
    assert share(line, YELLOW) > 0.3
    assert share(line, BLACK) > 0.15
    assert await colour_at(page, 295, TOP + 20) == GREY


async def test_missed_lesion_is_as_strong_beside_a_selected_one(page: Page):
    await show_scene(page)
    await annotate(page, missed=(MISSED,))
    before = await colours_along(page, TOP, LEFT + 10, RIGHT - 30)
    await page.evaluate("viewer.select(0)")
    assert (await colours_along(page, TOP, LEFT + 10, RIGHT - 30) == before).all()


async def test_rejected_lesion_is_dotted_and_struck_through(page: Page):
    await show_scene(page)
    _, _, x, y, radius = DISCS[0]
    await annotate(page, verdict(0, "reject"))
    assert await colour_at(page, x, y) == GREY
    edge = await colours_along(page, y - 15, x + radius - 4, x + radius + 2, height=30)
    assert 0.4 < share(edge, GREY) < 0.97
    row = page.locator(".viewer-lesions li").first
    await expect(row).to_contain_text("Review: no lesion")
    await expect(row.locator(".viewer-number")).to_have_css("text-decoration-line", "line-through")
    await expect(page.locator(".viewer-legend")).to_contain_text("Dotted")
    await annotate(page)
    assert await colour_at(page, x, y) != GREY
    await expect(page.locator(".viewer-legend")).to_be_hidden()


async def test_relabelled_lesion_has_colour_of_new_class_and_both_labels(page: Page):
    await show_scene(page)
    await annotate(page, verdict(2, "relabel", "carcinoma"))
    await page.evaluate(
        """() => {
          const slider = document.querySelector(".viewer-opacity input");
          slider.value = 100;
          slider.dispatchEvent(new Event("input"));
        }"""
    )
    assert await colour_at(page, *DISCS[2][2:4]) == VIOLET
    row = page.locator(".viewer-row").filter(has_text="LSIL")
    await expect(row).to_have_accessible_name(
        "Lesion 3 LSIL Score 75.0 % 11,304 pixels, 121 pixels across Review: carcinoma"
    )


async def test_corrected_outline_is_drawn_over_that_of_model(page: Page):
    await show_scene(page)
    _, _, x, y, radius = DISCS[2]
    square = [[x - 80, y - 80, x + 80, y - 80, x + 80, y + 80, x - 80, y + 80]]
    await annotate(page, verdict(2, "accept", outline=square))
    line = await colours_along(page, y - 80, x - 60, x + 60)
    assert share(line, YELLOW) > 0.3
    assert share(line, BLACK) > 0.15
    own = await colours_along(page, y, x + radius - 5, x + radius + 5)
    assert own.min(axis=0).max() < 110, "the border of the model's own outline"
    assert await colour_at(page, x, y) != GREY
    await expect(page.locator(".viewer-lesions li").filter(has_text="LSIL")).to_contain_text(
        "outline corrected"
    )
    # Within the corrected outline, and beside the model's.
    await page.mouse.click(*await on_screen(page, x - 75, y - 75))
    assert (await page.evaluate("events"))[-1] == ["select", {"id": 2}]


async def test_missed_lesion_is_no_lesion_of_model(page: Page):
    await show_scene(page)
    await annotate(page, verdict(0, "reject"), missed=(MISSED,))
    await expect(page.locator(".viewer-count")).to_have_text("4 lesions")
    await expect(page.locator(".viewer-row:visible")).to_have_count(4)
    assert (await page.evaluate("events"))[-1] == ["shown", {"hidden": 0, "total": 4}]
    picture = page.get_by_role("img", name="scan.jpg: 4 lesions are shown.")
    await expect(picture).to_have_accessible_name(
        "scan.jpg: 4 lesions are shown. Lesion 1: carcinoma, score 97.0 %. Review: no lesion. "
        "Lesion 2: HSIL, score 90.0 %. Lesion 4: HSIL, score 60.0 %. Lesion 3: LSIL, score "
        "75.0 %. Missed lesion A: LSIL, drawn in the review."
    )


async def test_missed_lesion_is_selected_by_click_and_last_by_keys(page: Page):
    await show_scene(page)
    await annotate(page, missed=(MISSED,))
    await page.mouse.click(*await on_screen(page, 300, 230))
    assert (await page.evaluate("events"))[-2:] == [
        ["hover", {"id": "missed"}],
        ["select", {"id": "missed"}],
    ]
    await expect(page.locator(".viewer-said")).to_have_text(
        "Missed lesion A: LSIL, drawn in the review."
    )
    await page.locator(".viewer-picture").focus()
    for key, lesion in (("n", 0), ("p", "missed"), ("p", 2)):
        await page.keyboard.press(key)
        assert (await page.evaluate("events"))[-1] == ["select", {"id": lesion}]


async def test_removed_lesion_is_no_longer_selected(page: Page):
    await show_scene(page)
    await annotate(page, missed=(MISSED,))
    await page.evaluate("viewer.select('missed')")
    await annotate(page)
    assert (await page.evaluate("events"))[-2] == ["select", {"id": None}]


async def test_overlay_off_hides_missed_lesion_and_says_so(page: Page):
    image = answers.grey(WIDTH, HEIGHT)
    await show(page, answers.answer(image, []), image)
    overlay = page.get_by_role("button", name="Lesions", exact=True)
    await expect(overlay).to_be_disabled()
    await annotate(page, missed=(MISSED,))
    await overlay.click()
    await expect(page.locator(".viewer-chip")).to_have_text("Lesions are not drawn.")
    assert share(await colours_along(page, TOP, LEFT, RIGHT), GREY) == 1
    await overlay.click()
    assert share(await colours_along(page, TOP, LEFT, RIGHT), GREY) == 0


async def test_annotations_stay_with_their_viewer_and_study(page: Page):
    await show_scene(page)
    await annotate(page, missed=(MISSED,))
    await page.evaluate("window.first = viewer")
    await show_scene(page)  # in a second viewer
    await expect(page.locator(".viewer-legend").first).to_be_visible()
    await expect(page.locator(".viewer-legend").last).to_be_hidden()
    await page.evaluate("first.show(viewer.study)")
    await expect(page.locator(".viewer-legend").first).to_be_hidden()


async def test_picture_for_download_shows_and_explains_annotations(page: Page):
    await show_scene(page)
    await annotate(page, missed=(MISSED,), saved=False)
    encoded = await page.evaluate(
        """async () => {
          const blob = await viewer.picture({ maxSide: Infinity });
          const bytes = new Uint8Array(await blob.arrayBuffer());
          return btoa(bytes.reduce((letters, byte) => letters + String.fromCharCode(byte), ""));
        }"""
    )
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB"), int)
    assert pixels.shape == (HEIGHT + 2 * 24, WIDTH, 3)
    assert share(pixels[TOP, LEFT:RIGHT], YELLOW) > 0.3
    for line in (0, 24):  # below the image: the dashes, and that the review is not saved
        assert pixels[HEIGHT + line :][:24].max() == 255
    await expect(page.locator(".viewer-legend li")).to_have_text(
        ["Dashed, with a letter: missed by the model", "This review is not saved"]
    )
