"""The clinician's page never shows one image's name, picture or numbers with those of another."""

from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from tests.integration.gateway.browser import (
    Gate,
    answer_of,
    answering,
    becomes,
    card,
    cards,
    choose,
    drop,
    enter_key,
    find_lesions,
    names,
    pane,
    scored,
    select,
    send,
)
from tests.integration.gateway.client import jpeg
from tests.integration.gateway.ingress import FakeIngress, Sent, problem

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Told apart by their widths, which the fake ingress shows as scores.
FIRST, SECOND, THIRD = jpeg(61), jpeg(62), jpeg(63)


def by_width(sent: Sent) -> dict:
    width = answer_of(sent)["image"]["width"]
    return scored(sent, width / 100)


async def assert_result(page: Page, name: str, width: int) -> None:
    """Select an image, and hold everything that is shown of it to that image."""
    image = card(page, name)
    await expect(image.locator(".thumbnail")).to_have_js_property("naturalWidth", width)
    await select(page, name)
    shown = pane(page)
    await expect(shown.locator(".view")).to_contain_text(f"{width}.0 %")
    await expect(shown.locator(".provenance")).to_contain_text(
        f"{width} \N{MULTIPLICATION SIGN} 48 JPEG"
    )
    link = shown.get_by_role("link", name=f"Download JSON of {name}")
    assert (await link.get_attribute("download")).startswith(name.removesuffix(".jpg"))
    async with page.expect_download() as download:
        await shown.get_by_role("button", name=f"Download picture of {name}").click()
    assert (await download.value).suggested_filename.startswith(name.removesuffix(".jpg"))


async def hold_first(page: Page, address: str) -> list[Route]:
    """Return the list that gets the first request to this address, which waits there."""
    held: list[Route] = []

    async def handle(route: Route) -> None:
        if held:
            await route.continue_()
        else:
            held.append(route)

    await page.route(address, handle)
    return held


async def test_each_image_has_its_own_result_in_order(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = answering(by_width)
    await send(page, key, a=FIRST, b=SECOND, c=THIRD)
    await expect(page.locator("#progress")).to_have_text("3 of 3 images are analysed.")
    assert await names(page) == ["a.jpg", "b.jpg", "c.jpg"]
    for name, width in (("b.jpg", 62), ("a.jpg", 61), ("c.jpg", 63)):
        await assert_result(page, name, width)
    assert {sent.body for sent in ingress.sent} == {FIRST, SECOND, THIRD}


async def test_new_image_is_shown_without_result_of_older_one(
    page: Page, key: str, ingress: FakeIngress
):
    ingress.answer = answering(by_width)
    await send(page, key, a=FIRST)
    await assert_result(page, "a.jpg", 61)
    await choose(page, b=SECOND)
    await expect(pane(page).locator(".name")).to_have_text("b.jpg")
    await expect(pane(page).locator(".count")).to_be_empty()
    await expect(pane(page).locator(".view")).to_be_hidden()
    await expect(pane(page).locator(".provenance")).to_be_empty()
    await expect(pane(page).locator(".state")).to_contain_text("Not sent yet")
    await expect(pane(page).locator(".preview img")).to_have_js_property("naturalWidth", 62)
    await assert_result(page, "a.jpg", 61)


async def test_two_images_of_one_name_keep_their_results(
    page: Page, key: str, ingress: FakeIngress
):
    ingress.answer = answering(by_width)
    await send(page, key, a=FIRST)
    await expect(page.locator("#progress")).to_contain_text("a.jpg. 1 lesion found: HSIL.")
    await find_lesions(page, a=SECOND)
    assert await names(page) == ["a.jpg", "a.jpg"]
    for index, width in ((0, 61), (1, 62)):
        await cards(page).nth(index).locator(".pick").click()
        await expect(pane(page).locator(".view")).to_contain_text(f"{width}.0 %")


async def test_refused_image_does_not_take_anothers_result(page: Page, key: str, ingress):
    def answer(sent: Sent):
        if sent.body == SECOND:
            return problem(sent, 422, "broken_image", "The image is cut off.")
        return answering(by_width)(sent)

    ingress.answer = answer
    await send(page, key, a=FIRST, b=SECOND, c=THIRD)
    await expect(page.locator("#progress")).to_have_text("2 of 3 images are analysed. 1 failed.")
    await assert_result(page, "a.jpg", 61)
    await select(page, "b.jpg")
    await expect(pane(page).locator(".count")).to_be_empty()
    await expect(pane(page).get_by_role("alert")).to_contain_text("cut off")
    await assert_result(page, "c.jpg", 63)
    await expect(pane(page).get_by_role("alert")).to_have_count(0)


async def test_refusal_of_key_stops_what_waits(page: Page, key: str, ingress: FakeIngress):
    await send(page, "wrong", a=FIRST, b=SECOND, c=THIRD, d=FIRST)
    await expect(page.get_by_role("button", name="Find lesions in 4 images")).to_be_visible()
    await expect(card(page, "d.jpg").locator(".state")).to_contain_text("Not sent yet")


async def test_late_answer_goes_to_its_own_image(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = gate = Gate(1, by_width)
    await send(page, key, a=FIRST)
    await becomes(lambda: len(ingress.sent) == 1)
    await find_lesions(page, b=SECOND)
    await assert_result(page, "b.jpg", 62)
    gate.open()
    await expect(card(page, "a.jpg")).to_have_attribute("data-state", "done")
    await expect(pane(page).locator(".view")).to_contain_text("62.0 %")
    await assert_result(page, "a.jpg", 61)


async def test_answer_of_removed_image_is_dropped(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = gate = Gate(1, by_width)
    await send(page, key, a=FIRST)
    await becomes(lambda: len(ingress.sent) == 1)
    await page.get_by_role("button", name="Remove a.jpg").click()
    await find_lesions(page, b=SECOND)
    await assert_result(page, "b.jpg", 62)
    gate.open()
    await page.wait_for_timeout(300)
    assert await names(page) == ["b.jpg"]
    await assert_result(page, "b.jpg", 62)


async def test_slow_session_check_sends_nothing_after_removal(page: Page, key: str, ingress):
    ingress.answer = answering(by_width)
    waiting = await hold_first(page, "**/session/")
    await send(page, key, a=FIRST)
    await becomes(lambda: len(waiting) == 1)
    await page.get_by_role("button", name="Remove a.jpg").click()
    await find_lesions(page, b=SECOND)
    await assert_result(page, "b.jpg", 62)
    await waiting[0].continue_()
    await page.wait_for_timeout(300)
    await assert_result(page, "b.jpg", 62)
    assert [sent.body for sent in ingress.sent] == [SECOND]


async def test_cancelled_run_does_not_write_to_next_run(page: Page, key: str, ingress):
    """The first run still waits for its session check when the second, of the same image, ends."""
    ingress.answer = answering(by_width)
    waiting = await hold_first(page, "**/session/")
    await send(page, key, a=FIRST)
    await becomes(lambda: len(waiting) == 1)
    await page.get_by_role("button", name="Cancel all").click()
    await page.get_by_role("button", name="Find lesions").click()
    await assert_result(page, "a.jpg", 61)
    await waiting[0].continue_()
    await page.wait_for_timeout(300)
    await expect(card(page, "a.jpg")).to_have_attribute("data-state", "done")
    await expect(page.locator("#progress")).to_have_text("a.jpg. 1 lesion found: HSIL.")
    assert len(ingress.sent) == 1


async def test_quick_selection_ends_at_last_one(page: Page, key: str, ingress: FakeIngress):
    """A large image is decoded after a small one that was selected later."""
    ingress.answer = answering(by_width)
    await send(page, key, a=jpeg(60, 48), b=SECOND)
    await expect(page.locator("#progress")).to_have_text("2 of 2 images are analysed.")
    await page.evaluate(
        """() => {
          const [a, b] = document.querySelectorAll(".pick");
          for (let turn = 0; turn < 20; turn += 1) { a.click(); b.click(); }
        }"""
    )
    await page.wait_for_timeout(500)
    await expect(pane(page).locator(".name")).to_have_text("b.jpg")
    await expect(pane(page).locator(".view")).to_contain_text("62.0 %")
    await expect(pane(page).locator(".provenance")).to_contain_text("62 \N{MULTIPLICATION SIGN}")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    for path, content in zip(paths, (FIRST, SECOND), strict=True):
        path.write_bytes(content)
    return paths


@pytest.mark.parametrize("place", ["#empty", "footer"])
async def test_every_dropped_file_is_accepted(page: Page, key: str, ingress, files, place):
    ingress.answer = answering(by_width)
    address = page.url
    await enter_key(page, key)
    box = await page.locator(place).first.bounding_box()
    await drop(page, box["x"] + 5, box["y"] + 5, files)
    await expect(cards(page)).to_have_count(2)
    await page.get_by_role("button", name="Find lesions").click()
    await expect(page.locator("#progress")).to_have_text("2 of 2 images are analysed.")
    for name, width in (("a.jpg", 61), ("b.jpg", 62)):
        await assert_result(page, name, width)
    assert page.url == address


async def test_file_changed_after_choice_is_not_sent(page: Page, key: str, ingress, files):
    await enter_key(page, key)
    await page.locator("#file").set_input_files(files[0])
    await expect(page.locator(".thumbnail")).to_have_js_property("naturalWidth", 61)
    files[0].write_bytes(jpeg(200, 200))  # the next patient's, under the same name
    await page.get_by_role("button", name="Find lesions").click()
    await expect(page.get_by_role("alert")).to_contain_text("The file cannot be read")
    assert ingress.sent == []


async def test_shown_picture_cannot_be_dragged(page: Page, key: str, ingress: FakeIngress):
    """Dropped on the page it would be taken for a new image."""
    await send(page, key)
    await expect(pane(page).locator(".count")).to_be_visible()
    for picture in await page.locator("img").all():
        assert await picture.get_attribute("draggable") == "false"


async def test_other_key_removes_result(page: Page, key: str, ingress: FakeIngress):
    await send(page, key, a=FIRST)
    await expect(pane(page).locator(".count")).to_be_visible()
    await enter_key(page, "another person's")
    await expect(cards(page)).to_have_count(0)
    await expect(page.locator("#empty")).to_be_visible()
    await expect(pane(page)).to_be_hidden()


async def test_chosen_image_is_kept_when_api_key_is_entered(
    page: Page, key: str, ingress: FakeIngress
):
    await choose(page, a=FIRST)
    await expect(cards(page)).to_have_count(1)
    await enter_key(page, key)
    assert await names(page) == ["a.jpg"]


async def test_back_button_shows_no_result(page: Page, key: str, ingress: FakeIngress):
    await send(page, key, a=FIRST)
    await expect(pane(page).locator(".count")).to_be_visible()
    await page.get_by_role("link", name="Sign in").click()
    await page.get_by_role("button", name="Remove them and sign in").click()
    await expect(page.get_by_label("User name")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_label("API key")).to_have_value("")
    await expect(cards(page)).to_have_count(0)


async def test_page_clears_results_when_left(page: Page, key: str, ingress):
    await send(page, key, a=FIRST)
    await expect(pane(page).locator(".count")).to_be_visible()
    await page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    await expect(cards(page)).to_have_count(0)
    await expect(pane(page)).to_be_hidden()
    await expect(page.get_by_label("API key")).to_have_value("")


async def test_page_from_browser_cache_is_reloaded(page: Page):
    async with page.expect_navigation():
        await page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")


async def test_image_chosen_before_script_loads_is_accepted(page: Page):
    held: list[Route] = []
    await page.route("**/queue.js", lambda route: held.append(route))
    await page.goto(page.url, wait_until="commit")
    await choose(page, scan=jpeg())
    await expect(page.get_by_role("button", name="Find lesions")).to_be_disabled()
    await becomes(lambda: len(held) == 1)
    await held[0].continue_()
    await expect(card(page, "scan.jpg")).to_be_visible()
    await expect(page.get_by_role("button", name="Find lesions")).to_be_enabled()
