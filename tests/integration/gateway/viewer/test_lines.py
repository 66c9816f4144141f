"""Lines that were measured stay on the image, each with its length, until they are removed."""

import pytest
from playwright.async_api import Page, expect

from tests.integration.gateway.viewer import answers
from tests.integration.gateway.viewer.scenes import (
    AT_REST,
    HEIGHT,
    WIDTH,
    colour_at,
    on_screen,
    picture,
    show_scene,
)
from tests.integration.gateway.viewer.site import run, show

pytestmark = pytest.mark.asyncio(loop_scope="module")

WHITE = [255, 255, 255]
TISSUE = [190, 120, 120]
# Between the lesions, each with a place on it.
LINES = {(260, 230, 360, 230): (285, 230), (260, 280, 340, 280): (280, 280)}


async def draw(page: Page, *lines: tuple[int, int, int, int]) -> None:
    """Measure lines with the mouse, and put the ruler away."""
    await page.get_by_role("button", name="Ruler").click()
    for x1, y1, x2, y2 in lines:
        await drag(page, (x1, y1), (x2, y2))
    await page.get_by_role("button", name="Ruler").click()


async def drag(page: Page, start: tuple[int, int], end: tuple[int, int]) -> None:
    await page.mouse.move(*await on_screen(page, *start))
    await page.mouse.down()
    await page.mouse.move(*await on_screen(page, *end), steps=3)
    await page.mouse.up()


def rows(page: Page):
    return page.get_by_role("list", name="Measured lines").locator("li span")


async def test_lines_are_kept_with_their_lengths(page: Page):
    await show_scene(page)
    await draw(page, *LINES)
    await expect(rows(page)).to_have_text(["Line 1: 100 pixels", "Line 2: 80 pixels"])
    for place in LINES.values():
        assert await colour_at(page, *place) == WHITE


async def test_line_is_removed_and_others_keep_their_numbers(page: Page):
    await show_scene(page)
    await draw(page, *LINES)
    await page.get_by_role("button", name="Remove line 1").click()
    await expect(rows(page)).to_have_text(["Line 2: 80 pixels"])
    await expect(page.get_by_role("button", name="Remove line 2")).to_be_focused()
    await expect(page.get_by_role("status")).to_have_text("Line 1 is removed.")
    first, second = LINES.values()
    assert await colour_at(page, *first) == TISSUE
    assert await colour_at(page, *second) == WHITE
    await page.keyboard.press("Enter")
    await expect(page.locator(".viewer-lines")).to_be_hidden()
    await expect(page.locator(".viewer-picture")).to_be_focused()


async def test_line_is_drawn_and_removed_with_keys_only(page: Page):
    await show_scene(page)
    await page.locator(".viewer-picture").focus()
    for key in ("m", "Enter", "Shift+ArrowDown", "Shift+ArrowDown", "Enter"):
        await page.keyboard.press(key)
    await expect(rows(page)).to_have_text(["Line 1: 2 pixels"])
    await page.keyboard.press("Delete")
    await expect(page.locator(".viewer-lines")).to_be_hidden()


async def test_end_of_kept_line_is_moved(page: Page):
    await show_scene(page)
    await draw(page, *LINES)
    await page.get_by_role("button", name="Ruler").click()
    await drag(page, (360, 230), (320, 230))
    await expect(rows(page)).to_have_text(["Line 1: 60 pixels", "Line 2: 80 pixels"])


async def test_escape_drops_line_that_is_not_complete(page: Page):
    await show_scene(page)
    await page.get_by_role("button", name="Ruler").click()
    await page.mouse.click(*await on_screen(page, 260, 230))
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Ruler")).to_have_attribute("aria-pressed", "true")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Ruler")).to_have_attribute(
        "aria-pressed", "false"
    )
    await expect(page.locator(".viewer-lines")).to_be_hidden()


async def test_line_without_length_is_not_kept(page: Page):
    await show_scene(page)
    await page.get_by_role("button", name="Ruler").click()
    for _ in range(2):
        await page.mouse.click(*await on_screen(page, 260, 230))
        await page.wait_for_timeout(400)  # not a double click
    await expect(page.locator(".viewer-lines")).to_be_hidden()


async def test_line_removed_during_drag_ends_drag(page: Page):
    await show_scene(page)
    await draw(page, *LINES)
    await page.get_by_role("button", name="Ruler").click()
    await page.mouse.move(*await on_screen(page, 360, 230))
    await page.mouse.down()
    await page.mouse.move(*await on_screen(page, 350, 230))
    await page.keyboard.press("Delete")
    await page.mouse.move(*await on_screen(page, 300, 230))
    await page.mouse.up()
    await expect(rows(page)).to_have_text(["Line 2: 80 pixels"])


async def test_lines_are_hidden_with_lesions_but_not_from_ruler(page: Page):
    await show_scene(page)
    await draw(page, *LINES)
    place = next(iter(LINES.values()))
    await page.get_by_role("button", name="Lesions", exact=True).click()
    assert await colour_at(page, *place) == TISSUE
    await page.get_by_role("button", name="Ruler").click()
    assert await colour_at(page, *place) == WHITE


async def test_lines_belong_to_their_image(page: Page):
    await show_scene(page)
    await draw(page, *LINES)
    await page.evaluate("window.first = viewer.study")
    await show_scene(page)
    await page.evaluate("viewers[0].show(viewer.study)")
    await expect(page.locator(".viewer-lines").first).to_be_hidden()
    await page.evaluate("viewers[0].show(first)")
    await expect(page.locator(".viewer-lines").first.locator("li")).to_have_count(2)


async def test_lengths_follow_scale_whose_own_line_is_not_kept(page: Page):
    await show_scene(page)
    await draw(page, *LINES)
    await page.get_by_role("button", name="Scale").click()
    await page.get_by_role("button", name="Draw a line").click()
    await drag(page, (220, 420), (420, 420))
    await page.get_by_label("Known length, mm").fill("10")
    await drag(page, (420, 420), (430, 420))  # its end is still taken hold of
    await page.get_by_label("Known length, mm").fill("10.5")
    await page.keyboard.press("Enter")
    await expect(rows(page)).to_have_text(["Line 1: 5.0 mm", "Line 2: 4.0 mm"])


async def test_picture_has_lines(page: Page):
    await show_scene(page)
    before = await picture(page, "{ maxSide: Infinity }")
    await draw(page, *LINES)
    after = await picture(page, "{ maxSide: Infinity }")
    assert before[230, 285].tolist() == TISSUE
    assert after[230, 285].tolist() == WHITE
    assert (after[205:220, 250:270] != before[205:220, 250:270]).any()  # the words


PAPER = "{ maxSide: Infinity, paper: { width: 180, height: 135 } }"


@pytest.mark.parametrize("options", ["{ maxSide: Infinity }", PAPER], ids=["screen", "paper"])
async def test_lines_and_their_words_cover_no_number(page: Page, options: str):
    """The number of the first lesion is above (110, 70), where the words of a line would be."""
    await show_scene(page)
    before = await picture(page, options)
    await draw(page, (115, 85, 160, 110), (90, 60, 150, 60))
    after = await picture(page, options)
    number = slice(54, 66), slice(112, 122)
    assert (after[number] == before[number]).all()
    for line in (slice(90, 100), slice(120, 150)), (slice(58, 62), slice(140, 150)):
        assert (after[line] != before[line]).any()


async def test_diameter_covers_no_number(page: Page):
    """The number of the lower lesion is above (160, 200), where the other's diameter would be."""
    image = answers.grey(WIDTH, HEIGHT)
    discs = [answers.disc((HEIGHT, WIDTH), x, y, 40) for x, y in ((170, 140), (200, 240))]
    await show(page, answers.answer(image, [answers.lesion(pixels) for pixels in discs]), image)
    number = [(163 + 3 * step, 191) for step in range(5)]
    before = [await colour_at(page, *place) for place in number]
    await page.evaluate("viewer.select(0)")
    after = [await colour_at(page, *place) for place in number]
    assert after == before


async def test_diameter_of_lesion_out_of_sight_is_not_told(page: Page):
    image = answers.grey(WIDTH, HEIGHT)
    disc = answers.disc((HEIGHT, WIDTH), 100, 100, 40)
    await show(page, answers.answer(image, [answers.lesion(disc)]), image)
    await page.evaluate("viewer.select(0)")
    await page.evaluate("viewer.viewport.set({ scale: 4, x: 500, y: 400 })")
    assert await page.evaluate(DARKEST) == min(TISSUE)
    await page.evaluate("viewer.viewport.set({ scale: 4, x: 150, y: 100 })")
    assert await page.evaluate(DARKEST) < min(TISSUE)


# The least value of any pixel that is painted, once the picture rests: words have dark plates.
DARKEST = f"""async () => {{
  await ({AT_REST})();
  const canvas = document.querySelector(".viewer-picture canvas");
  const {{ data }} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.reduce((least, value) => Math.min(least, value));
}}"""


async def test_words_of_lines_do_not_cover_each_other(page: Page):
    places = await run(
        page,
        "label_places.js",
        """const viewport = { width: 640, height: 480, toScreen: (point) => point };
        const ends = [[300, 200], [300, 260]];
        const places = it.besideLine(ends, [120, 22], viewport);
        return it.apart([places, places, places], [places[0]]);""",
    )
    assert len({tuple(place) for place in places}) == 3
    for place in places:
        assert not [other for other in places if other is not place and overlap(place, other)]


def overlap(place: list[float], other: list[float]) -> bool:
    (x, y, width, height), (left, top, wide, high) = place, other
    return x < left + wide and left < x + width and y < top + high and top < y + height
