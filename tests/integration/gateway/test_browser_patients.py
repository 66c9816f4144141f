"""The clinician's page never shows one image's name, picture or numbers with those of another."""

from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from tests.integration.gateway.browser import (
    Gate,
    answer_of,
    answering,
    becomes,
    cards,
    choose,
    drop,
    enter_key,
    find_lesions,
    names,
    scored,
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


async def assert_card(page: Page, index: int, name: str, width: int) -> None:
    """Hold everything that one card shows to one image."""
    card = cards(page).nth(index)
    await expect(card.locator(".name")).to_have_text(name)
    await expect(card.locator(".lesions")).to_contain_text(f"{width}.0 %")
    await expect(card.locator(".provenance")).to_contain_text(
        f"{width} \N{MULTIPLICATION SIGN} 48 JPEG"
    )
    await expect(card.locator(".thumbnail")).to_have_js_property("naturalWidth", width)
    picture = card.get_by_role("img", name=f"{name} with the lesions drawn on")
    await expect(picture).to_have_js_property("naturalWidth", width)
    for link in ("Download JSON", "Download picture"):
        link = card.get_by_role("link", name=f"{link} of {name}")
        assert (await link.get_attribute("download")).startswith(name.removesuffix(".jpg"))


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


async def test_new_choice_removes_result_at_once(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = answering(by_width)
    await send(page, key, a=FIRST)
    await assert_card(page, 0, "a.jpg", 61)
    await choose(page, b=SECOND)
    assert await names(page) == ["b.jpg"]
    await expect(page.locator(".findings")).to_be_empty()
    await expect(page.locator("#progress")).to_be_empty()
    await expect(page.locator(".state")).to_contain_text("Not sent yet")
    await expect(page.locator(".thumbnail")).to_have_js_property("naturalWidth", 62)


async def test_empty_choice_removes_result(page: Page, key: str, ingress: FakeIngress):
    await send(page, key)
    await expect(page.locator(".findings h3")).to_be_visible()
    await page.locator("#file").dispatch_event("change")
    await expect(cards(page)).to_have_count(0)
    await expect(page.get_by_text("No image is chosen.")).to_be_visible()


async def test_same_file_can_be_chosen_again(page: Page, key: str, ingress: FakeIngress):
    await send(page, key, a=FIRST)
    await expect(page.locator(".findings h3")).to_be_visible()
    await choose(page, a=FIRST)
    await expect(page.locator(".findings")).to_be_empty()
    assert await names(page) == ["a.jpg"]


async def test_each_image_has_its_own_result_in_order(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = answering(by_width)
    await send(page, key, a=FIRST, b=SECOND, c=THIRD)
    await expect(page.locator("#progress")).to_have_text("3 of 3 images are analysed.")
    assert await names(page) == ["a.jpg", "b.jpg", "c.jpg"]
    for index, (name, width) in enumerate([("a.jpg", 61), ("b.jpg", 62), ("c.jpg", 63)]):
        await assert_card(page, index, name, width)
    assert [sent.body for sent in ingress.sent] == [FIRST, SECOND, THIRD]


async def test_refused_image_does_not_take_anothers_result(page: Page, key: str, ingress):
    def answer(sent: Sent):
        if sent.body == SECOND:
            return problem(sent, 422, "broken_image", "The image is cut off.")
        return answering(by_width)(sent)

    ingress.answer = answer
    await send(page, key, a=FIRST, b=SECOND, c=THIRD)
    await expect(page.locator("#progress")).to_have_text("2 of 3 images are analysed.")
    await assert_card(page, 0, "a.jpg", 61)
    await expect(cards(page).nth(1).locator(".findings")).to_be_empty()
    await expect(cards(page).nth(1).get_by_role("alert")).to_contain_text("cut off")
    await assert_card(page, 2, "c.jpg", 63)


async def test_refusal_of_key_stops_batch(page: Page, key: str, ingress: FakeIngress):
    await send(page, "wrong", a=FIRST, b=SECOND)
    await expect(page.get_by_role("alert")).to_have_count(1)
    await expect(cards(page).nth(1).locator(".state")).to_contain_text("Not sent yet")


async def test_late_answer_does_not_replace_newer_answer(
    page: Page, key: str, ingress: FakeIngress
):
    ingress.answer = gate = Gate(1, by_width)
    await send(page, key, a=FIRST)
    await becomes(lambda: len(ingress.sent) == 1)
    await find_lesions(page, b=SECOND)
    await assert_card(page, 0, "b.jpg", 62)
    gate.open()
    await page.wait_for_timeout(300)
    assert await names(page) == ["b.jpg"]
    await assert_card(page, 0, "b.jpg", 62)


async def test_slow_session_check_sends_nothing_after_new_choice(page: Page, key: str, ingress):
    ingress.answer = answering(by_width)
    waiting = await hold_first(page, "**/session/")
    await send(page, key, a=FIRST)
    await becomes(lambda: len(waiting) == 1)
    await find_lesions(page, b=SECOND)
    await assert_card(page, 0, "b.jpg", 62)
    await waiting[0].continue_()
    await page.wait_for_timeout(300)
    await assert_card(page, 0, "b.jpg", 62)
    assert [sent.body for sent in ingress.sent] == [SECOND]


async def test_cancelled_run_does_not_write_to_next_run(page: Page, key: str, ingress):
    """The first run still waits for its session check when the second, of the same card, ends."""
    ingress.answer = answering(by_width)
    waiting = await hold_first(page, "**/session/")
    await send(page, key, a=FIRST)
    await becomes(lambda: len(waiting) == 1)
    await page.get_by_role("button", name="Cancel").click()
    await page.get_by_role("button", name="Find lesions").click()
    await assert_card(page, 0, "a.jpg", 61)
    await waiting[0].continue_()
    await page.wait_for_timeout(300)
    await expect(page.locator(".card")).to_have_attribute("data-state", "done")
    await expect(page.locator("#progress")).to_have_text("a.jpg: 1 lesion found.")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    for path, content in zip(paths, (FIRST, SECOND), strict=True):
        path.write_bytes(content)
    return paths


@pytest.mark.parametrize("place", ["#drop", "footer"])
async def test_every_dropped_file_is_accepted(page: Page, key: str, ingress, files, place):
    ingress.answer = answering(by_width)
    address = page.url
    await enter_key(page, key)
    box = await page.locator(place).bounding_box()
    await drop(page, box["x"] + 5, box["y"] + 5, files)
    await expect(cards(page)).to_have_count(2)
    await page.get_by_role("button", name="Find lesions").click()
    await expect(page.locator("#progress")).to_have_text("2 of 2 images are analysed.")
    for name, width in (("a.jpg", 61), ("b.jpg", 62)):
        await assert_card(page, (await names(page)).index(name), name, width)
    assert page.url == address


async def test_page_names_files_that_it_refuses(page: Page, key: str, ingress, files, tmp_path):
    (tmp_path / "letter.pdf").write_bytes(b"%PDF-1.7")
    (tmp_path / "export").mkdir()
    await drop(page, 300, 300, [files[0], tmp_path / "letter.pdf", tmp_path / "export"])
    assert await names(page) == ["a.jpg"]
    refused = page.locator("#refused")
    await expect(refused).to_contain_text("letter.pdf: it is not an image.")
    await expect(refused).to_contain_text("export: it is a folder; drop the images in it.")
    await choose(page, b=SECOND)
    await expect(refused).to_be_hidden()


async def test_page_names_images_beyond_limit(page: Page):
    await choose(page, **{f"scan{number}": FIRST for number in range(23)})
    await expect(cards(page)).to_have_count(20)
    lines = await page.locator("#refused li").all_inner_texts()
    assert lines == [
        f"scan{number}.jpg: at most 20 images are taken at once." for number in (20, 21, 22)
    ]


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
    ingress.answer = answering(answer_of)
    await send(page, key)
    await expect(page.locator(".overlay")).to_be_visible()
    for picture in await page.locator("img").all():
        assert await picture.get_attribute("draggable") == "false"


async def test_other_key_removes_result(page: Page, key: str, ingress: FakeIngress):
    await send(page, key, a=FIRST)
    await expect(page.locator(".findings h3")).to_be_visible()
    await enter_key(page, "another person's")
    await expect(cards(page)).to_have_count(0)


async def test_chosen_image_is_kept_when_api_key_is_entered(
    page: Page, key: str, ingress: FakeIngress
):
    await choose(page, a=FIRST)
    await enter_key(page, key)
    assert await names(page) == ["a.jpg"]


async def test_back_button_shows_no_result(page: Page, key: str, ingress: FakeIngress):
    await send(page, key, a=FIRST)
    await expect(page.locator(".findings h3")).to_be_visible()
    await page.get_by_role("link", name="sign in").click()
    await expect(page.get_by_label("User name")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_label("API key")).to_have_value("")
    await expect(cards(page)).to_have_count(0)


async def test_page_clears_results_when_left(page: Page, key: str, ingress):
    await send(page, key, a=FIRST)
    await expect(page.locator(".findings h3")).to_be_visible()
    await page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    await expect(cards(page)).to_have_count(0)
    await expect(page.get_by_label("API key")).to_have_value("")


async def test_page_from_browser_cache_is_reloaded(page: Page):
    async with page.expect_navigation():
        await page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")


async def test_image_chosen_before_script_loads_is_accepted(page: Page):
    held: list[Route] = []
    await page.route("**/batch.js", lambda route: held.append(route))
    await page.goto(page.url, wait_until="commit")
    await choose(page, scan=jpeg())
    await expect(page.get_by_role("button", name="Find lesions")).to_be_disabled()
    await becomes(lambda: len(held) == 1)
    await held[0].continue_()
    await expect(page.locator(".name")).to_have_text("scan.jpg")
    await expect(page.get_by_role("button", name="Find lesions")).to_be_enabled()
