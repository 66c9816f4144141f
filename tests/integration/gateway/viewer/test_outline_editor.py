"""Outlines that a person changes or draws: with a mouse, with a finger and with keys only."""

import numpy as np
import pytest
from playwright.async_api import Page, expect
from pycocotools import mask as coco

from tests.integration.gateway.viewer.answers import disc
from tests.integration.gateway.viewer.scenes import DISCS, HEIGHT, WIDTH, on_screen, show_scene

pytestmark = pytest.mark.asyncio(loop_scope="module")

SQUARE = [(300, 200), (400, 200), (400, 300), (300, 300)]


async def start(page: Page, call: str) -> None:
    await show_scene(page)
    await page.evaluate(
        f"""async () => {{
          const {{ OutlineEditor }} = await import("/static/web/viewer/outline_editor.js");
          window.editor = new OutlineEditor(viewer);
          window.outlines = [];
          editor.addEventListener("outline", ({{ detail }}) => outlines.push(detail));
          editor.addEventListener("cancel", () => outlines.push("cancel"));
          editor.{call};
        }}"""
    )


async def outlines(page: Page) -> list:
    return await page.evaluate("outlines")


async def outcome(page: Page) -> tuple[int | None, list[list[float]]]:
    """Return the lesion's id and the segmentation of the only outline that was made."""
    [made] = await outlines(page)
    return made["id"], made["segmentation"]


def rasterized(segmentation) -> np.ndarray:
    return coco.decode(coco.merge(coco.frPyObjects(segmentation, HEIGHT, WIDTH))).astype(bool)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Return the intersection over union of two masks."""
    return (a & b).sum() / (a | b).sum()


def said(page: Page):
    return page.locator(".viewer-editor .said")


def button(page: Page, name: str):
    return page.locator(".viewer-editor").get_by_role("button", name=name, exact=True)


async def test_unchanged_outline_is_nearly_the_mask(page: Page):
    await start(page, "edit(0)")
    await expect(page.locator(".viewer-editor .title")).to_have_text("Outline of lesion 1")
    await button(page, "Done").click()
    lesion_id, segmentation = await outcome(page)
    assert lesion_id == 0
    _, _, x, y, radius = DISCS[0]
    assert overlap(rasterized(segmentation), disc((HEIGHT, WIDTH), x, y, radius)) > 0.96


async def draw_square(page: Page) -> None:
    for place in SQUARE:
        await page.mouse.click(*await on_screen(page, *place))
        await page.wait_for_timeout(20)


async def test_new_outline_is_drawn_with_mouse(page: Page):
    await start(page, "draw()")
    await draw_square(page)
    await page.mouse.click(*await on_screen(page, *SQUARE[0]))  # the first point closes it
    await expect(said(page)).to_have_text("The outline is closed. Change it, or choose Done.")
    await button(page, "Done").click()
    lesion_id, [points] = await outcome(page)
    assert lesion_id is None
    assert np.reshape(points, (-1, 2)) == pytest.approx(np.array(SQUARE), abs=1)


async def test_new_outline_is_drawn_with_keys_only(page: Page):
    await start(page, "draw()")
    await expect(page.locator(".viewer-picture")).to_be_focused()
    for arrow in ("", "ArrowRight", "ArrowDown"):
        for _ in range(8 if arrow else 0):
            await page.keyboard.press(arrow)
        await page.keyboard.press("Space")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Enter")
    _, [points] = await outcome(page)
    (x1, y1), (x2, y2), (x3, y3) = np.reshape(points, (-1, 2)).tolist()
    assert x1 < x2 == x3
    assert y1 == y2 < y3


async def test_point_is_dragged(page: Page):
    await start(page, "draw()")
    await draw_square(page)
    await button(page, "Finish shape").click()
    await page.mouse.move(*await on_screen(page, *SQUARE[2]))
    await page.mouse.down()
    await page.mouse.move(*await on_screen(page, 450, 350), steps=3)
    await page.mouse.up()
    await button(page, "Done").click()
    _, [points] = await outcome(page)
    assert points[4:6] == pytest.approx([450, 350], abs=1)


async def test_point_is_moved_without_dragging(page: Page):
    """WCAG 2.2, 2.5.7: choose the point, then its place."""
    await start(page, "draw()")
    await draw_square(page)
    await button(page, "Finish shape").click()
    await page.mouse.click(*await on_screen(page, *SQUARE[2]))
    await page.wait_for_timeout(400)
    await page.mouse.click(*await on_screen(page, 450, 350))
    await button(page, "Done").click()
    _, [points] = await outcome(page)
    assert points[4:6] == pytest.approx([450, 350], abs=1)


async def test_points_are_moved_added_and_removed_with_keys(page: Page):
    await start(page, f"edit(1, [{[value for point in SQUARE for value in point]}])")
    for key in ("n", "Shift+ArrowLeft", "Shift+ArrowUp", "a"):
        await page.keyboard.press(key)
    await expect(page.get_by_role("status")).to_have_text("Point 2 of 5, at 350, 200.")
    for key in ("n", "n", "Delete", "Enter"):
        await page.keyboard.press(key)
    lesion_id, [points] = await outcome(page)
    assert lesion_id == 1
    assert points == [299, 199, 349.5, 199.5, 400, 200, 300, 300]


async def test_middle_of_side_adds_point(page: Page):
    await start(page, f"edit(1, [{[value for point in SQUARE for value in point]}])")
    await page.mouse.move(*await on_screen(page, 350, 200))
    await page.mouse.down()
    await page.mouse.move(*await on_screen(page, 350, 160), steps=3)
    await page.mouse.up()
    await button(page, "Done").click()
    _, [points] = await outcome(page)
    assert points[2:4] == pytest.approx([350, 160], abs=1)
    assert len(points) == 10


async def test_each_change_is_undone(page: Page):
    square = [value for point in SQUARE for value in point]
    await start(page, f"edit(1, [{square}])")
    await expect(button(page, "Undo")).to_be_disabled()
    for key in ("n", "ArrowLeft", "a", "Delete", "ArrowUp"):
        await page.keyboard.press(key)
    for _ in range(4):
        await page.keyboard.press("Control+z")
    await expect(button(page, "Undo")).to_be_disabled()
    await page.keyboard.press("Enter")
    _, [points] = await outcome(page)
    assert points == square


@pytest.mark.parametrize("redo", ["Control+y", "Control+Shift+Z", "Meta+Shift+Z", "button"])
async def test_undone_changes_are_done_again(page: Page, redo: str):
    await start(page, f"edit(1, [{[value for point in SQUARE for value in point]}])")
    await expect(button(page, "Redo")).to_be_disabled()
    for key in ("n", "Shift+ArrowLeft", "Shift+ArrowUp", "Control+z", "Control+z"):
        await page.keyboard.press(key)
    for _ in range(2):
        if redo == "button":
            await button(page, "Redo").click()
        else:
            await page.keyboard.press(redo)
    await expect(button(page, "Redo")).to_be_disabled()
    await expect(page.locator(".viewer-picture")).to_be_focused()
    await page.keyboard.press("Enter")
    _, [points] = await outcome(page)
    assert points[:2] == [299, 199]


async def test_points_of_open_outline_are_done_again(page: Page):
    await start(page, "draw()")
    await draw_square(page)
    await button(page, "Finish shape").click()
    for _ in range(3):
        await button(page, "Undo").click()
    await expect(button(page, "Finish shape")).to_be_visible()
    for _ in range(3):
        await button(page, "Redo").click()
    await button(page, "Done").click()
    _, [points] = await outcome(page)
    assert np.reshape(points, (-1, 2)) == pytest.approx(np.array(SQUARE), abs=1)


async def test_change_after_undoing_ends_redoing_but_choosing_does_not(page: Page):
    await start(page, f"edit(1, [{[value for point in SQUARE for value in point]}])")
    for key in ("n", "Shift+ArrowLeft", "Control+z"):
        await page.keyboard.press(key)
    await page.mouse.click(*await on_screen(page, *SQUARE[2]))
    await expect(button(page, "Redo")).to_be_enabled()
    await page.keyboard.press("Shift+ArrowUp")
    await expect(button(page, "Redo")).to_be_disabled()
    await page.keyboard.press("Control+y")
    await page.keyboard.press("Enter")
    _, [points] = await outcome(page)
    assert points[:2] == [300, 200]
    assert points[4:6] == [400, 299]


async def test_point_stays_in_image(page: Page):
    await start(page, "edit(1, [[1, 1, 100, 1, 100, 100]])")
    await page.keyboard.press("n")
    for _ in range(3):
        await page.keyboard.press("ArrowLeft")
        await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Enter")
    _, [points] = await outcome(page)
    assert points[:2] == [0, 0]


async def test_outline_that_crosses_itself_is_refused(page: Page):
    await start(page, "edit(1, [[100, 100, 200, 200, 200, 100, 100, 200]])")
    await button(page, "Done").click()
    await expect(said(page)).to_have_text("The outline crosses itself. Move a point.")
    assert await outlines(page) == []


async def test_outline_of_two_points_is_refused(page: Page):
    await start(page, "draw()")
    for place in SQUARE[:2]:
        await page.mouse.click(*await on_screen(page, *place))
    await button(page, "Finish shape").click()
    await expect(said(page)).to_have_text("An outline needs three points.")
    await page.keyboard.press("Escape")


async def test_last_three_points_stay(page: Page):
    await start(page, "edit(1, [[100, 100, 200, 100, 200, 200]])")
    await page.keyboard.press("n")
    await expect(button(page, "Remove point")).to_be_disabled()
    await page.keyboard.press("Delete")
    await page.keyboard.press("Enter")
    _, [points] = await outcome(page)
    assert len(points) == 6


async def test_cancel_leaves_lesion_as_it_was(page: Page):
    await start(page, "edit(0)")
    await page.keyboard.press("n")
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("Escape")
    assert await outlines(page) == ["cancel"]
    await expect(page.locator(".viewer-editor")).to_be_hidden()
    await expect(page.get_by_role("status")).to_have_text("The outline is as before.")
    assert await page.evaluate("editor.isActive") is False


@pytest.mark.parametrize("study", ["viewer.study", "null"])
async def test_next_study_ends_editing(page: Page, study):
    await start(page, "edit(0)")
    await show_scene(page)
    await page.evaluate(f"viewers[0].show({study})")
    assert await outlines(page) == ["cancel"]


async def test_focus_returns_to_where_it_was(page: Page):
    await start(page, "cancel()")
    await page.get_by_role("button", name="Lesion 2").focus()
    await page.evaluate("editor.edit(1)")
    await expect(page.locator(".viewer-picture")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Lesion 2")).to_be_focused()
