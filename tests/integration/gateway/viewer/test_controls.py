"""Zooming, panning, measuring and comparing: with a mouse, with fingers and with keys only."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, CDPSession, Page, expect

from tests.integration.gateway.viewer import site
from tests.integration.gateway.viewer.scenes import (
    AT_REST,
    DISCS,
    HEIGHT,
    WIDTH,
    middle,
    on_screen,
    picture,
    scale,
    show_scene,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def phone(chromium: Browser) -> AsyncIterator[Page]:
    context = await chromium.new_context(
        viewport={"width": 390, "height": 844},
        device_scale_factor=2,
        has_touch=True,
        is_mobile=True,
        reduced_motion="reduce",
    )
    await site.serve(context)
    page = await context.new_page()
    await page.goto(site.ADDRESS)
    yield page
    await context.close()


async def touch(devtools: CDPSession, kind: str, *points: tuple[float, float]) -> None:
    fingers = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
    await devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})


def status(page: Page):
    return page.get_by_role("status")


async def test_wheel_zooms_at_pointer(page: Page):
    await show_scene(page)
    await page.evaluate("viewer.viewport.set(viewer.viewport.zoomed(3))")
    x, y = await on_screen(page, 400, 200)
    await page.mouse.move(x, y)
    await page.mouse.wheel(0, -600)
    assert await scale(page) > 3.5
    assert await on_screen(page, 400, 200) == pytest.approx((x, y), abs=0.6)


async def test_wheel_scrolls_page_where_whole_image_is_shown(page: Page):
    await show_scene(page)
    prevented = await page.evaluate(
        """() => [100, -100, 100].map((deltaY) => {
          const event = new WheelEvent("wheel", { deltaY, cancelable: true, bubbles: true });
          document.querySelector(".viewer-picture").dispatchEvent(event);
          return event.defaultPrevented;
        })"""
    )
    assert prevented == [False, True, True]


async def test_drag_pans_and_selects_nothing(page: Page):
    await show_scene(page)
    await page.evaluate("viewer.viewport.set(viewer.viewport.zoomed(3))")
    before = await middle(page)
    await page.mouse.move(400, 300)
    await page.mouse.down()
    await page.mouse.move(460, 320, steps=4)
    await page.mouse.up()
    after = await middle(page)
    assert after[0] < before[0]
    assert after[1] < before[1]
    await expect(page.locator(".viewer-row[aria-pressed='true']")).to_have_count(0)


async def test_double_click_zooms_in_and_out(page: Page):
    await show_scene(page)
    await page.mouse.dblclick(*await on_screen(page, 300, 240))
    assert await scale(page) == pytest.approx(3)
    await page.wait_for_timeout(400)
    await page.mouse.dblclick(*await on_screen(page, 300, 240))
    assert await scale(page) == pytest.approx(1)


async def test_overview_shows_and_moves_part_in_view(page: Page):
    await show_scene(page)
    overview = page.locator(".viewer-overview")
    await expect(overview).to_be_hidden()
    await page.get_by_role("button", name="Zoom in").click()
    await page.get_by_role("button", name="Zoom in").click()
    await expect(overview).to_be_visible()
    await overview.click(position={"x": 2, "y": 2})
    x, y = await middle(page)
    assert x < WIDTH / 2
    assert y < HEIGHT / 2
    await page.get_by_role("button", name="Whole image").click()
    await expect(overview).to_be_hidden()


async def test_keys_zoom_and_pan(page: Page):
    await show_scene(page)
    await page.locator(".viewer-picture").focus()
    for _ in range(3):
        await page.keyboard.press("+")
    assert await scale(page) == pytest.approx(1.4**3)
    before = await middle(page)
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowDown")
    after = await middle(page)
    assert after[0] > before[0]
    assert after[1] > before[1]
    await page.keyboard.press("-")
    assert await scale(page) == pytest.approx(1.4**2)
    await page.keyboard.press("1")
    assert await page.evaluate("viewer.viewport.scale / devicePixelRatio") == pytest.approx(
        max(1, await page.evaluate("viewer.viewport.fitScale"))
    )
    await page.keyboard.press("0")
    assert await scale(page) == 1


async def test_keys_hold_in_viewer_only_and_not_in_fields(page: Page):
    await show_scene(page)
    await page.keyboard.press("o")
    await expect(page.locator(".viewer-chip")).to_be_hidden()
    await type_scale(page, "")
    await page.keyboard.type("0o+")
    await expect(page.locator(".viewer-chip")).to_be_hidden()
    assert await scale(page) == 1


async def test_everything_is_reached_with_keys_and_focus_is_seen(page: Page):
    await show_scene(page)
    await page.keyboard.press("Tab")
    names, outlines = [], set()
    for _ in range(40):
        name, outline = await page.evaluate(
            """() => {
              const focused = document.activeElement;
              const { outlineStyle, outlineWidth } = getComputedStyle(focused);
              const named = focused.closest("label") ?? focused;
              const name = focused.ariaLabel ?? named.textContent.trim();
              return [name, `${outlineStyle} ${outlineWidth}`];
            }"""
        )
        if name in names:
            break
        names.append(name)
        outlines.add(outline)
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement === document.body"):
            break
    assert outlines == {"solid 3px"}
    for expected in ("Zoom in", "Lesions", "Opacity of the lesions", "Original", "Ruler", "Scale"):
        assert expected in names
    assert any(name.startswith("Picture of scan.jpg") for name in names)
    assert any("carcinoma" in name and "97.0 %" in name for name in names)


async def test_help_opens_by_key_and_gives_focus_back(page: Page):
    await show_scene(page)
    await page.locator(".viewer-picture").focus()
    await page.keyboard.press("?")
    panel = page.get_by_role("region", name="Keys and gestures")
    await expect(panel).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(panel).to_be_hidden()
    await expect(page.get_by_role("button", name="Keys and gestures")).to_be_focused()


async def test_ruler_measures_with_mouse(page: Page):
    await show_scene(page)
    await page.get_by_role("button", name="Ruler").click()
    await page.mouse.move(*await on_screen(page, 100, 100))
    await page.mouse.down()
    await page.mouse.move(*await on_screen(page, 400, 100), steps=3)
    await page.mouse.up()
    await expect(status(page)).to_have_text("The line is 300 pixels long.")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Ruler")).to_have_attribute(
        "aria-pressed", "false"
    )


async def test_ruler_measures_with_keys(page: Page):
    await show_scene(page)
    await page.locator(".viewer-picture").focus()
    await page.keyboard.press("m")
    await page.keyboard.press("Shift+ArrowRight")
    await page.keyboard.press("Enter")
    await expect(status(page)).to_have_text("First point set.")
    for _ in range(7):
        await page.keyboard.press("Shift+ArrowDown")
    await page.keyboard.press("Enter")
    await expect(status(page)).to_have_text("The line is 7 pixels long.")


async def test_scale_gives_millimetres(page: Page):
    await show_scene(page)
    await page.get_by_role("button", name="Lesion 1").click()
    details = page.locator(".viewer-lesions dl:visible")
    await expect(details).to_contain_text("100 \u00d7 100 pixels")
    await type_scale(page, "0,05")
    await page.keyboard.press("Enter")
    await expect(status(page)).to_have_text("Scale set: the image is 32 mm wide.")
    await expect(page.get_by_role("region", name="Scale")).to_be_hidden()
    await expect(details).to_contain_text("5.0 \u00d7 5.0 mm")
    await expect(page.locator(".viewer-size").first).to_have_text("19.7 mm², 5.1 mm across")
    await page.get_by_role("button", name="Scale").click()
    await page.get_by_role("button", name="Measure in pixels again").click()
    await expect(details).to_contain_text("100 \u00d7 100 pixels")


async def type_scale(page: Page, typed: str) -> None:
    await page.get_by_role("button", name="Scale").click()
    await page.get_by_text("Other: millimetres per pixel").click()
    await page.get_by_role("textbox", name="Millimetres per pixel").fill(typed)


@pytest.mark.parametrize("typed", ["", "0", "-1", "a", "1e999"])
async def test_scale_that_is_no_length_is_refused(page: Page, typed):
    await show_scene(page)
    await type_scale(page, typed)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("Type a number above 0.")
    await expect(page.locator(".viewer-size").first).to_contain_text("pixels")


@pytest.mark.parametrize(("typed", "width"), [("5", "3,200"), ("0.005", "3.2")])
async def test_scale_that_no_image_of_a_cervix_has_is_refused(page: Page, typed, width):
    await show_scene(page)
    await type_scale(page, typed)
    await expect(page.get_by_text(f"The image is then {width} mm wide.")).to_be_visible()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text(f"would be {width} mm wide")
    await expect(page.locator(".viewer-size").first).to_contain_text("pixels")


async def test_scale_comes_from_line_of_known_length(page: Page):
    await show_scene(page)
    await page.get_by_role("button", name="Scale").click()
    await page.get_by_role("button", name="Draw a line").click()
    await expect(page.get_by_role("region", name="Scale")).to_be_hidden()
    await page.mouse.click(*await on_screen(page, 100, 400))
    await page.mouse.click(*await on_screen(page, 300, 400))
    await expect(page.get_by_label("Known length, mm")).to_be_focused()
    await page.keyboard.type("10")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("region", name="Scale")).to_be_hidden()
    await expect(page.locator(".viewer-size").first).to_contain_text("20 mm²")
    await page.get_by_role("button", name="Scale").click()
    assert await page.locator(".viewer-scale-pixel input").input_value() == "0.05"


async def test_short_line_gives_fewer_digits(page: Page):
    await show_scene(page)
    await page.get_by_role("button", name="Scale").click()
    await page.get_by_role("button", name="Draw a line").click()
    await page.mouse.click(*await on_screen(page, 100, 400))
    await page.mouse.click(*await on_screen(page, 140, 400))
    await page.get_by_label("Known length, mm").fill("5")
    await expect(page.get_by_text("right to about 5 %")).to_be_visible()
    await page.keyboard.press("Enter")
    await expect(page.locator(".viewer-size").first).to_have_text("120 mm², 12.7 mm across")


async def test_scale_belongs_to_its_image(page: Page):
    await show_scene(page)
    await type_scale(page, "0.05")
    await page.keyboard.press("Enter")
    await page.evaluate("window.first = viewer.study")
    await show_scene(page)
    await page.evaluate("viewers[0].show(viewer.study)")
    await expect(page.locator(".viewer-size").first).to_contain_text("pixels")
    await page.evaluate("viewers[0].show(first)")
    await expect(page.locator(".viewer-size").first).to_contain_text("mm²")


async def test_linked_viewers_move_together(page: Page):
    await show_scene(page)
    await show_scene(page)
    await page.evaluate("viewers[0].linkWith(viewers[1])")
    views = "viewers.map(({ viewport }) => [viewport.scale / viewport.fitScale, viewport.x])"
    await page.evaluate("viewers[1].viewport.set({ scale: 3, x: 400, y: 200 })")
    one, other = await page.evaluate(views)
    assert one == pytest.approx(other)
    await page.evaluate("viewers[1].linkWith(null); viewers[0].viewport.fit()")
    one, other = await page.evaluate(views)
    assert one[0] == pytest.approx(1)
    assert other[0] > 1


async def test_new_link_ends_former_one(page: Page):
    for _ in range(3):
        await show_scene(page)
    await page.evaluate(
        """viewers[0].linkWith(viewers[1]);
           viewers[2].linkWith(viewers[1]);
           viewers[1].viewport.set({ scale: 4, x: 400, y: 200 });"""
    )
    zooms = await page.evaluate(
        "viewers.map(({ viewport }) => viewport.scale / viewport.fitScale > 1)"
    )
    assert zooms == [False, True, True]


@pytest.mark.parametrize(("side", "size"), [("Infinity", (WIDTH, HEIGHT)), ("320", (320, 240))])
async def test_picture_has_numbered_lesions(page: Page, side, size):
    await show_scene(page)
    pixels = await picture(page, f"{{ maxSide: {side} }}")
    assert pixels.shape == (size[1], size[0], 3)
    share = size[0] / WIDTH
    for _, _, x, y, _ in DISCS:
        assert tuple(pixels[int(y * share), int(x * share)]) != (190, 120, 120)


async def test_picture_shows_what_is_shown_and_says_what_is_hidden(page: Page):
    await show_scene(page)
    whole = await picture(page, "{ maxSide: Infinity }")
    await page.locator(".viewer-filter").click()
    await page.get_by_label("Hide lesions with a score below").fill("800")
    part = await picture(page, "{ maxSide: Infinity }")
    _, _, x, y, _ = DISCS[2]
    assert tuple(part[y, x]) == (190, 120, 120) != tuple(whole[y, x])
    assert (part[-30:] != whole[-30:]).any()  # the words


async def test_viewer_outside_page_makes_pictures(page: Page):
    await show_scene(page)
    await page.evaluate(
        """async () => {
          const { Viewer } = await import("/static/web/viewer/viewer.js");
          window.shown = viewer.study;
          window.viewer = new Viewer(document.createElement("div"));
          viewer.show(shown);
        }"""
    )
    pixels = await picture(page, "{ maxSide: Infinity }")
    assert tuple(pixels[120, 160]) != (190, 120, 120)


async def test_nothing_is_painted_while_nothing_changes(page: Page):
    await show_scene(page)
    await page.evaluate(AT_REST)
    frames = await page.evaluate(
        """async () => {
          let count = 0;
          const draw = CanvasRenderingContext2D.prototype.drawImage;
          CanvasRenderingContext2D.prototype.drawImage = function (...given) {
            count += 1;
            return draw.apply(this, given);
          };
          for (let frame = 0; frame < 20; frame += 1) await new Promise(requestAnimationFrame);
          const idle = count;
          viewer.viewport.panBy(1, 1);
          for (let frame = 0; frame < 3; frame += 1) await new Promise(requestAnimationFrame);
          return [idle, count > idle];
        }"""
    )
    assert frames == [0, True]


async def test_cleared_viewer_is_hidden(page: Page):
    await show_scene(page)
    await page.evaluate("viewer.show(null)")
    await expect(page.locator(".viewer")).to_be_hidden()
    await expect(page.locator(".viewer-row")).to_have_count(0)


async def test_fingers_pinch_and_pan(phone: Page):
    await show_scene(phone)
    devtools = await phone.context.new_cdp_session(phone)
    x, y = await on_screen(phone, 320, 240)
    await touch(devtools, "touchStart", (x - 20, y), (x + 20, y))
    for step in range(1, 6):
        await touch(devtools, "touchMove", (x - 20 - 10 * step, y), (x + 20 + 10 * step, y))
    await touch(devtools, "touchEnd")
    assert await scale(phone) == pytest.approx(3.5, rel=0.15)
    before = await middle(phone)
    await touch(devtools, "touchStart", (x, y))
    for step in range(1, 6):
        await touch(devtools, "touchMove", (x + 12 * step, y))
    await touch(devtools, "touchEnd")
    assert (await middle(phone))[0] < before[0]


async def test_finger_selects_and_measures(phone: Page):
    await show_scene(phone)
    await phone.touchscreen.tap(*await on_screen(phone, *DISCS[1][2:4]))
    await expect(status(phone)).to_contain_text("Lesion 2 of 4")
    await phone.get_by_role("button", name="Ruler").tap()
    await phone.touchscreen.tap(*await on_screen(phone, 100, 100))
    await phone.touchscreen.tap(*await on_screen(phone, 500, 100))
    await expect(status(phone)).to_contain_text("The line is ")


async def test_targets_are_large_enough(phone: Page):
    await show_scene(phone)
    small = await phone.evaluate(
        """() => [...document.querySelectorAll(".viewer button, .viewer input, .viewer label")]
          .filter((it) => it.getClientRects().length && !it.closest("label") || it.matches("label"))
          .filter((it) => it.getClientRects().length)
          .map((it) => [it.ariaLabel ?? it.textContent, it.getBoundingClientRect()])
          .filter(([, box]) => box.width < 24 || box.height < 24)
          .map(([name]) => name)"""
    )
    assert small == []


@pytest.mark.parametrize("width", [320, 390, 700, 820, 1100, 1440])
async def test_nothing_is_cut_off(page: Page, width):
    await page.set_viewport_size({"width": width, "height": 800})
    await show_scene(page)
    await page.get_by_role("button", name="Lesion 1").click()
    await page.locator(".viewer-filter").click()
    await page.get_by_label("Hide lesions with a score below").fill("800")
    wide = await page.evaluate(
        """() => [...document.querySelectorAll(".viewer *")]
          .filter((it) => it.getClientRects().length && !it.closest("svg, .viewer-said"))
          .filter((it) => it.getBoundingClientRect().right > innerWidth + 1)
          .map((it) => `${it.tagName}.${it.className}`)"""
    )
    assert wide == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
