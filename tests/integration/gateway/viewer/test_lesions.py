"""Lesions in the picture and in the list: shown, hidden, selected and measured."""

import pytest
from playwright.async_api import Page, expect

from tests.integration.gateway.viewer import answers
from tests.integration.gateway.viewer.scenes import DISCS, colour_at, on_screen, show_scene
from tests.integration.gateway.viewer.site import show

pytestmark = pytest.mark.asyncio(loop_scope="module")

GREY = [190, 120, 120]


def rows(page: Page):
    return page.locator(".viewer-row:visible")


async def open_filter(page: Page) -> None:
    await page.locator(".viewer-filter").click()


async def set_threshold(page: Page, value: int) -> None:
    if not await page.locator(".viewer-threshold").is_visible():
        await open_filter(page)
    await page.get_by_label("Hide lesions with a score below").fill(str(value))


async def test_list_names_each_lesion(page: Page):
    await show_scene(page)
    await expect(page.locator(".viewer-count")).to_have_text("4 lesions")
    await expect(rows(page)).to_have_count(4)
    await expect(rows(page).first).to_have_accessible_name(
        "Lesion 1 carcinoma Score 97.0 % 7,860 pixels, 101 pixels across"
    )
    await expect(page.locator(".viewer-hidden")).to_be_hidden()


async def test_most_severe_lesions_come_first_with_their_numbers(page: Page):
    await show_scene(page)
    await expect(page.locator(".viewer-number")).to_have_text(["1", "2", "4", "3"])
    await expect(page.locator(".viewer-label")).to_have_text(["carcinoma", "HSIL", "HSIL", "LSIL"])
    await expect(page.locator(".viewer-order")).to_contain_text("most severe class comes first")


async def test_picture_is_told_in_words(page: Page):
    await show_scene(page)
    picture = page.get_by_role("img", name="scan.jpg: 4 lesions are shown.")
    await expect(picture).to_have_accessible_name(
        "scan.jpg: 4 lesions are shown. Lesion 1: carcinoma, score 97.0 %. Lesion 2: HSIL, "
        "score 90.0 %. Lesion 4: HSIL, score 60.0 %. Lesion 3: LSIL, score 75.0 %."
    )


async def test_lesions_are_painted_where_they_are(page: Page):
    await show_scene(page)
    for _, _, x, y, radius in DISCS:
        assert await colour_at(page, x, y) != GREY
        assert await colour_at(page, x + radius + 8, y) == GREY


async def test_threshold_hides_lesions_and_says_so(page: Page):
    await show_scene(page)
    await set_threshold(page, 800)
    words = "2 of 4 lesions are hidden: the filter leaves out scores below 80.0 %."
    await expect(page.locator(".viewer-hidden")).to_have_text(words)
    await expect(page.locator(".viewer-chip")).to_have_text(words)
    await expect(page.get_by_role("img", name=words)).to_have_count(1)
    await expect(rows(page)).to_have_count(2)
    assert await colour_at(page, *DISCS[2][2:4]) == GREY
    assert (await page.evaluate("events"))[-1] == ["shown", {"hidden": 2, "total": 4}]


async def test_lesion_at_threshold_is_shown(page: Page):
    await show_scene(page)
    await set_threshold(page, 750)
    await expect(rows(page)).to_have_count(3)


async def test_threshold_is_never_below_that_of_answer(page: Page):
    await show_scene(page, threshold=0.6)
    slider = page.get_by_label("Hide lesions with a score below")
    await expect(slider).to_have_value("600")
    await slider.press("Home")
    await expect(slider).to_have_value("600")
    await expect(page.locator(".viewer-lowest")).to_contain_text("60.0 %")
    await expect(rows(page)).to_have_count(4)


async def test_lesion_that_rounding_put_below_threshold_is_shown(page: Page):
    image = answers.grey(60, 50)
    lesion = answers.lesion(answers.disc((50, 60), 30, 20, 9), score=0.69999998)
    await show(page, answers.answer(image, [lesion], threshold=0.7), image)
    await expect(rows(page)).to_have_count(1)
    await expect(page.locator(".viewer-hidden")).to_be_hidden()


async def test_class_is_switched_off_and_all_are_shown_again(page: Page):
    await show_scene(page)
    await open_filter(page)
    await page.get_by_role("checkbox", name="HSIL (2)").uncheck()
    await expect(page.locator(".viewer-hidden")).to_have_text(
        "2 of 4 lesions are hidden: the filter leaves out HSIL."
    )
    await set_threshold(page, 900)
    await expect(page.locator(".viewer-hidden")).to_have_text(
        "3 of 4 lesions are hidden: the filter leaves out HSIL, and scores below 90.0 %."
    )
    await page.get_by_role("button", name="Show all").click()
    await expect(rows(page)).to_have_count(4)
    await expect(page.get_by_role("checkbox", name="HSIL (2)")).to_be_checked()
    await expect(page.locator(".viewer-chip")).to_be_hidden()


async def test_class_without_lesions_cannot_be_switched(page: Page):
    image = answers.grey(60, 50)
    lesion = answers.lesion(answers.disc((50, 60), 30, 20, 9))
    await show(page, answers.answer(image, [lesion]), image)
    await open_filter(page)
    await expect(page.get_by_role("checkbox", name="carcinoma (0)")).to_be_disabled()


async def test_next_study_shows_all_lesions_again(page: Page):
    await show_scene(page)
    await set_threshold(page, 900)
    await page.keyboard.press("o")
    await page.evaluate("viewer.show(viewer.study)")
    await expect(rows(page)).to_have_count(4)
    await expect(page.locator(".viewer-chip")).to_be_hidden()
    await expect(page.get_by_role("button", name="Lesions", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )


async def test_overlay_off_is_said(page: Page):
    await show_scene(page)
    await page.get_by_role("button", name="Lesions", exact=True).click()
    await expect(page.locator(".viewer-chip")).to_have_text("Lesions are not drawn.")
    await expect(page.get_by_role("status")).to_have_text("Lesions are not drawn.")
    assert await colour_at(page, *DISCS[0][2:4]) == GREY
    await expect(
        page.get_by_role("img", name="no lesion is shown. Lesions are not")
    ).to_be_visible()


async def test_outline_leaves_inside_free(page: Page):
    await show_scene(page)
    await page.get_by_role("button", name="Outline", exact=True).click()
    _, _, x, y, radius = DISCS[0]
    assert await colour_at(page, x, y) == GREY
    assert await colour_at(page, x + radius, y) != GREY


async def test_opacity_changes_fill(page: Page):
    await show_scene(page)
    x, y = DISCS[0][2:4]
    before = await colour_at(page, x, y)
    await page.get_by_label("Opacity of the lesions").fill("100")
    assert await colour_at(page, x, y) == [122, 22, 196] != before


async def test_original_is_shown_without_lesions(page: Page):
    await show_scene(page)
    await page.get_by_role("button", name="Original").click()
    await expect(page.get_by_role("img", name="scan.jpg without lesions")).to_be_visible()
    x, y = DISCS[0][2:4]
    assert await colour_at(page, x, y) != GREY
    assert await colour_at(page, x, y, ".viewer-original") == GREY


async def test_click_on_lesion_selects_row(page: Page):
    await show_scene(page)
    await page.mouse.click(*await on_screen(page, *DISCS[2][2:4]))
    row = page.get_by_role("button", name="Lesion 3")
    await expect(row).to_have_attribute("aria-pressed", "true")
    await expect(page.get_by_role("status")).to_have_text(
        "Lesion 3 of 4, LSIL, score 75.0 %. Area 11,304 pixels, width 120 pixels, "
        "height 120 pixels, longest diameter 121 pixels."
    )
    assert (await page.evaluate("events"))[-1] == ["select", {"id": 2}]
    await page.mouse.click(*await on_screen(page, 300, 240))
    await expect(row).to_have_attribute("aria-pressed", "false")
    assert (await page.evaluate("events"))[-1] == ["select", {"id": None}]


async def test_hover_marks_row_and_picture(page: Page):
    await show_scene(page)
    await page.mouse.move(*await on_screen(page, *DISCS[1][2:4]))
    await expect(page.locator(".viewer-lesions li.hovered")).to_contain_text("90.0 %")
    await page.mouse.move(*await on_screen(page, 300, 240))
    await expect(page.locator(".viewer-lesions li.hovered")).to_have_count(0)
    x, y, radius = DISCS[1][2:]
    before = await colour_at(page, x + radius - 2.5, y)
    await page.get_by_role("button", name="Lesion 2").hover()
    assert await colour_at(page, x + radius - 2.5, y) != before


async def test_arrows_move_between_rows(page: Page):
    await show_scene(page)
    await rows(page).first.focus()
    await page.keyboard.press("ArrowDown")
    second = page.get_by_role("button", name="Lesion 2")
    await expect(second).to_be_focused()
    await expect(second).to_have_attribute("aria-pressed", "true")
    await page.keyboard.press("End")
    await expect(page.get_by_role("button", name="Lesion 3")).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("button", name="Lesion 3")).to_be_focused()
    await expect(page.locator(".viewer-row[tabindex='0']")).to_have_count(1)


async def test_hidden_lesion_is_not_selected(page: Page):
    await show_scene(page)
    await page.get_by_role("button", name="Lesion 4").click()
    await set_threshold(page, 800)
    assert ["select", {"id": None}] in await page.evaluate("events")
    await expect(page.locator(".viewer-row[aria-pressed='true']")).to_have_count(0)


async def test_keys_step_through_shown_lesions(page: Page):
    await show_scene(page)
    await open_filter(page)
    await page.get_by_role("checkbox", name="HSIL (2)").uncheck()
    await page.locator(".viewer-picture").focus()
    for expected in (0, 2, 0):
        await page.keyboard.press("n")
        assert (await page.evaluate("events"))[-1] == ["select", {"id": expected}]
    await page.keyboard.press("p")
    assert (await page.evaluate("events"))[-1] == ["select", {"id": 2}]
    await page.keyboard.press("Escape")
    assert (await page.evaluate("events"))[-1] == ["select", {"id": None}]


async def test_selection_from_page_is_no_event(page: Page):
    await show_scene(page)
    await page.evaluate("viewer.select(1)")
    await expect(page.get_by_role("button", name="Lesion 2")).to_have_attribute(
        "aria-pressed", "true"
    )
    assert all(kind != "select" for kind, _ in await page.evaluate("events"))


async def test_smallest_of_nested_lesions_is_under_pointer(page: Page):
    image = answers.grey(200, 160)
    shape = (160, 200)
    large = answers.lesion(answers.disc(shape, 100, 80, 70), 1, 0.9)
    small = answers.lesion(answers.disc(shape, 110, 80, 15), 2, 0.8)
    await show(page, answers.answer(image, [large, small]), image)
    await page.mouse.click(*await on_screen(page, 112, 84))
    await expect(page.get_by_role("button", name="Lesion 2")).to_have_attribute(
        "aria-pressed", "true"
    )


async def test_label_is_shown_as_text(page: Page):
    image = answers.grey(60, 50)
    label = "<img src=x onerror=alert(1)>"
    lesion = answers.lesion(answers.disc((50, 60), 30, 20, 9)) | {"label": label}
    made = answers.answer(image, [lesion])
    made["metrics"]["class_distribution"] = {label: 1}
    await show(page, made, image)
    await expect(page.locator(".viewer-label")).to_have_text(label)
    await open_filter(page)
    await expect(page.get_by_role("checkbox")).to_have_accessible_name(f"{label} (1)")


async def test_lesion_without_mask_is_its_box(page: Page):
    image = answers.grey(60, 50)
    lesion = answers.lesion(answers.disc((50, 60), 30, 20, 9)) | {"mask": None, "mask_area": None}
    await show(page, answers.answer(image, [lesion]), image)
    await page.mouse.click(*await on_screen(page, 22, 13))  # in the box, beside the disc
    await expect(page.get_by_role("status")).to_contain_text("Area 324 pixels, width 18 pixels")
    await expect(page.get_by_role("status")).to_contain_text("of its box")


async def test_no_lesion_is_said(page: Page):
    image = answers.grey(60, 50)
    await show(page, answers.answer(image, []), image)
    await expect(page.locator(".viewer-count")).to_have_text("No lesion found")
    await expect(page.locator(".viewer-filter")).to_be_hidden()
    await expect(page.get_by_role("img", name="scan.jpg: no lesion is shown.")).to_be_visible()


async def test_lesions_below_asked_threshold_are_said(page: Page):
    image = answers.grey(60, 50)
    await show(page, answers.answer(image, [], threshold=0.8, below_threshold=3), image)
    await expect(page.locator(".viewer-count")).to_have_text("No lesion at or above the threshold")
    await expect(page.locator(".viewer-below")).to_have_text(
        "3 more are below the threshold of 80.0 % that was asked for with the image."
    )
    await expect(page.get_by_role("img", name="3 more are below the threshold")).to_be_visible()


async def test_withheld_image_is_never_called_free_of_lesions(page: Page):
    image = answers.grey(60, 50)
    await show(page, answers.answer(image, [], quality=answers.ungradable(withheld=True)), image)
    await expect(page.get_by_role("note")).to_contain_text("Not analysed")
    await expect(page.get_by_role("note")).to_contain_text("This is not a finding.")
    await expect(page.locator(".viewer-count")).to_be_hidden()
    await expect(page.get_by_text("No lesion")).to_have_count(0)
    await expect(page.get_by_role("img", name="This is not a finding.")).to_be_visible()


async def test_ungradable_image_is_said(page: Page):
    image = answers.grey(60, 50)
    lesion = answers.lesion(answers.disc((50, 60), 30, 20, 9))
    quality = answers.ungradable(withheld=False)
    await show(page, answers.answer(image, [lesion], quality=quality), image)
    await expect(page.get_by_role("note")).to_contain_text("Check this image")
    await expect(page.locator(".viewer-count")).to_have_text("1 lesion")
    await show(page, answers.answer(image, [], quality=quality), image)
    await expect(page.locator(".viewer-count").last).to_have_text("Result not reliable")
    await expect(page.locator(".viewer-none").last).to_contain_text("not reliable")
