"""The queue of the clinician's page: adding, removing, sending, cancelling and trying again."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from gateway.audit.models import Record
from gateway.usage.models import Observation
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
    select,
    send,
)
from tests.integration.gateway.client import jpeg
from tests.integration.gateway.ingress import FakeIngress, Sent, problem

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIRST, SECOND, THIRD = jpeg(61), jpeg(62), jpeg(63)


async def test_new_images_are_added_to_queue(page: Page, key: str, ingress: FakeIngress):
    await send(page, key, a=FIRST)
    await expect(card(page, "a.jpg")).to_have_attribute("data-state", "done")
    await choose(page, b=SECOND)
    await expect(cards(page)).to_have_count(2)
    assert await names(page) == ["a.jpg", "b.jpg"]
    await expect(card(page, "a.jpg")).to_have_attribute("data-state", "done")
    await page.get_by_role("button", name="Find lesions in 1 image").click()
    await expect(card(page, "b.jpg")).to_have_attribute("data-state", "done")
    assert [sent.body for sent in ingress.sent] == [FIRST, SECOND]


async def test_image_that_is_done_is_not_sent_again(page: Page, key: str, ingress: FakeIngress):
    await send(page, key, a=FIRST)
    await expect(card(page, "a.jpg")).to_have_attribute("data-state", "done")
    await expect(page.get_by_role("button", name="Find lesions")).to_be_hidden()
    await page.evaluate("document.getElementById('form').requestSubmit()")
    await page.wait_for_timeout(200)
    assert len(ingress.sent) == 1


class Counting:
    """An ingress that counts how many images it is asked about at once."""

    def __init__(self) -> None:
        self.now, self.most = 0, 0

    async def __call__(self, sent: Sent) -> tuple[int, bytes]:
        if sent.path != "/predict":
            return FakeIngress().respond(sent)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.02)
        self.now -= 1
        return 200, json.dumps(answer_of(sent)).encode()


async def test_fifty_images_are_analysed_two_at_a_time(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = counting = Counting()
    await send(page, key, **{f"scan{number:02}": jpeg(60 + number) for number in range(50)})
    words = "50 of 50 images are analysed."
    await expect(page.locator("#progress")).to_have_text(words, timeout=60_000)
    assert counting.most == 2
    assert len({sent.body for sent in ingress.sent}) == 50
    await expect(page.locator('.card[data-state="done"]')).to_have_count(50)
    for number in (49, 0, 25):
        await select(page, f"scan{number:02}.jpg")
        await expect(pane(page).locator(".provenance")).to_contain_text(
            f"{60 + number} \N{MULTIPLICATION SIGN}"
        )
    assert await Record.objects.filter(state="succeeded").acount() == 50


async def test_page_names_images_beyond_limit(page: Page):
    await choose(page, **{f"scan{number}": FIRST for number in range(40)})
    await expect(cards(page)).to_have_count(40)
    await choose(page, **{f"more{number}": FIRST for number in range(12)})
    await expect(cards(page)).to_have_count(50)
    lines = await page.locator("#refused li").all_inner_texts()
    assert lines == [
        f"more{number}.jpg: at most 50 images are taken at once." for number in (10, 11)
    ]


async def test_page_names_files_that_it_refuses(page: Page, tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes(FIRST)
    (tmp_path / "letter.txt").write_bytes(b"Dear colleague")
    (tmp_path / "export").mkdir()
    await drop(page, 300, 300, [tmp_path / name for name in ("a.jpg", "letter.txt", "export")])
    await expect(card(page, "a.jpg")).to_be_visible()
    refused = page.locator("#refused")
    await expect(refused).to_contain_text("letter.txt: it is not an image.")
    await expect(refused).to_contain_text("export: it is a folder; drop the images in it.")
    await choose(page, b=SECOND)
    await expect(refused).to_be_hidden()
    assert await names(page) == ["a.jpg", "b.jpg"]
    await drop(page, 300, 300, [tmp_path / "letter.txt"])
    await refused.get_by_role("button", name="Close").click()
    await expect(refused).to_be_hidden()


def boxed(brand: bytes) -> bytes:
    """Return the beginning of a file of ISO's base media format."""
    return b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(200)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("IMG_1.HEIC", boxed(b"heic"), "Settings, Camera, Formats, Most Compatible"),
        ("renamed.jpg", boxed(b"heic"), "it is a HEIC picture of a phone"),
        ("picture.avif", boxed(b"avif"), "it is an AVIF picture; save it as JPEG or PNG"),
        ("series.dcm", bytes(128) + b"DICM" + bytes(99), "export the picture from its viewer"),
        ("letter.pdf", b"%PDF-1.7\n" + bytes(99), "it is a PDF document"),
        ("clip.jpg", boxed(b"isom"), "it is a video"),
    ],
)
async def test_page_says_what_to_do_with_other_files(page: Page, name: str, content, words: str):
    file = {"name": name, "mimeType": "", "buffer": content}
    await page.locator("#file").set_input_files([file])
    await expect(page.locator("#refused")).to_contain_text(f"{name}: ")
    await expect(page.locator("#refused")).to_contain_text(words)
    await expect(cards(page)).to_have_count(0)


async def test_image_can_be_pasted(page: Page, key: str, ingress: FakeIngress):
    await page.evaluate(
        """async (bytes) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], "image.png", {type: "image/png"}));
          const paste = new ClipboardEvent("paste", {clipboardData: data, bubbles: true});
          document.body.dispatchEvent(paste);
        }""",
        list(FIRST),
    )
    await expect(card(page, "pasted image 1.png")).to_be_visible()
    await enter_key(page, key)
    await page.get_by_role("button", name="Find lesions").click()
    await expect(pane(page).locator(".count")).to_have_text("1 lesion found: HSIL")
    assert ingress.sent[0].body == FIRST


async def test_removed_image_is_not_sent(page: Page, key: str, ingress: FakeIngress):
    await enter_key(page, key)
    await choose(page, a=FIRST, b=SECOND, c=THIRD)
    await page.get_by_role("button", name="Remove a.jpg").click()
    await expect(pane(page).locator(".name")).to_have_text("b.jpg")
    await page.get_by_role("button", name="Find lesions in 2 images").click()
    await expect(page.locator("#progress")).to_have_text("2 of 2 images are analysed.")
    assert {sent.body for sent in ingress.sent} == {SECOND, THIRD}


async def test_one_of_several_can_be_cancelled(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = gate = Gate(2)
    await send(page, key, a=FIRST, b=SECOND, c=THIRD)
    await becomes(lambda: len(ingress.sent) == 2)
    await pane(page).get_by_role("button", name="Cancel this").click()
    await expect(card(page, "a.jpg")).to_have_attribute("data-state", "cancelled")
    await expect(card(page, "c.jpg")).to_have_attribute("data-state", "done")
    gate.open()
    await expect(card(page, "b.jpg")).to_have_attribute("data-state", "done")
    await expect(card(page, "a.jpg")).to_have_attribute("data-state", "cancelled")
    await pane(page).get_by_role("button", name="Retry").click()
    await expect(card(page, "a.jpg")).to_have_attribute("data-state", "done")


async def test_cancel_all_leaves_what_is_done(page: Page, key: str, ingress: FakeIngress):
    await send(page, key, a=FIRST)
    await expect(card(page, "a.jpg")).to_have_attribute("data-state", "done")
    ingress.answer = gate = Gate(9)
    await find_lesions(page, b=SECOND, c=THIRD, d=FIRST)
    await becomes(lambda: len(ingress.sent) == 3)
    await page.get_by_role("button", name="Cancel all").click()
    for name in ("b.jpg", "c.jpg", "d.jpg"):
        await expect(card(page, name)).to_have_attribute("data-state", "cancelled")
    await expect(card(page, "a.jpg")).to_have_attribute("data-state", "done")
    gate.open()


async def test_all_failed_images_can_be_tried_again(page: Page, key: str, ingress: FakeIngress):
    fails = True

    def answer(sent: Sent):
        if fails and sent.body != SECOND:
            return problem(sent, 500, "internal", "Something broke.")
        return answering(answer_of)(sent)

    ingress.answer = answer
    await send(page, key, a=FIRST, b=SECOND, c=THIRD)
    await expect(page.locator("#progress")).to_have_text("1 of 3 images are analysed. 2 failed.")
    await choose(page, d=FIRST)
    await expect(card(page, "d.jpg")).to_have_attribute("data-state", "waiting")
    fails = False
    await page.get_by_role("button", name="Retry 2 failed").click()
    await expect(page.locator("#progress")).to_have_text("3 of 4 images are analysed.")
    await expect(card(page, "d.jpg")).to_have_attribute("data-state", "waiting")


async def test_image_that_cannot_be_read_is_found_and_not_tried_again(
    page: Page, key: str, ingress: FakeIngress
):
    def answer(sent: Sent):
        if sent.body == SECOND:
            return problem(sent, 422, "broken_image", "The image is cut off.")
        return answering(answer_of)(sent)

    ingress.answer = answer
    await send(page, key, a=FIRST, b=SECOND, c=THIRD)
    await expect(page.locator("#progress")).to_have_text("2 of 3 images are analysed. 1 failed.")
    reason = card(page, "b.jpg").locator(".state")
    await expect(reason).to_have_text(re.compile(r"Not analysed\. .+\."))
    await page.get_by_role("button", name="Show the failed image").click()
    await expect(pane(page).locator(".name")).to_have_text("b.jpg")
    await expect(page.get_by_role("button", name="Retry")).to_have_count(0)
    await page.get_by_role("button", name="Remove b.jpg").click()
    await expect(page.locator("#progress")).to_have_text("2 of 2 images are analysed.")


async def test_line_on_images_is_of_all_that_are_there(page: Page, key: str, ingress: FakeIngress):
    line = page.locator("#progress")
    await enter_key(page, key)
    await page.get_by_role("button", name="Find lesions").click()
    await expect(line).to_have_text("Choose an image first.")
    await find_lesions(page, a=FIRST)
    await expect(line).to_have_text("a.jpg. 1 lesion found: HSIL.")
    await choose(page, b=SECOND)
    await expect(line).to_have_text("1 of 2 images are analysed.")
    await page.get_by_role("button", name="Remove b.jpg").click()
    await expect(line).to_have_text("a.jpg. 1 lesion found: HSIL.")


async def examination_ids(page: Page) -> list[str]:
    ids: list[str] = []

    async def note(request) -> None:
        if "/predict/" in request.url:
            ids.append((await request.all_headers())["x-examination-id"])

    page.on("request", note)
    return ids


async def test_images_of_examination_share_random_id(page: Page, key: str, ingress: FakeIngress):
    ids = await examination_ids(page)
    await send(page, key, a=FIRST, b=SECOND)
    await expect(page.locator("#progress")).to_have_text("2 of 2 images are analysed.")
    await find_lesions(page, c=THIRD)
    await expect(card(page, "c.jpg")).to_have_attribute("data-state", "done")
    await page.get_by_role("button", name="New examination").click()
    await page.get_by_role("button", name="Remove them and begin").click()
    await expect(cards(page)).to_have_count(0)
    await find_lesions(page, d=FIRST)
    await expect(card(page, "d.jpg")).to_have_attribute("data-state", "done")
    assert len(ids) == 4
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert all(len(id_) == len("page-") + 32 for id_ in ids)
    counted = [it.examination async for it in Observation.objects.order_by("at")]
    assert len(counted) == 4
    assert counted[0] == counted[1] == counted[2] != counted[3]


async def test_new_examination_asks_before_results_are_lost(
    page: Page, key: str, ingress: FakeIngress
):
    await send(page, key, a=FIRST)
    await expect(card(page, "a.jpg")).to_have_attribute("data-state", "done")
    await page.get_by_role("button", name="New examination").click()
    await expect(page.get_by_role("dialog")).to_contain_text("The image, its result")
    await page.keyboard.press("Escape")
    await expect(cards(page)).to_have_count(1)
    await page.get_by_role("button", name="New examination").click()
    await page.get_by_role("button", name="Keep them").click()
    await expect(cards(page)).to_have_count(1)


async def test_new_examination_without_result_begins_at_once(page: Page):
    await choose(page, a=FIRST)
    await page.get_by_role("button", name="New examination").click()
    await expect(cards(page)).to_have_count(0)
    await expect(page.locator("#empty")).to_be_visible()


async def test_touch_screen_offers_camera(page: Page, chromium):
    await expect(page.get_by_text("Take a picture")).to_be_hidden()
    context = await chromium.new_context(has_touch=True, is_mobile=True)
    phone = await context.new_page()
    await phone.goto(page.url)
    await expect(phone.get_by_text("Take a picture")).to_be_visible()
    assert await phone.locator("#camera").get_attribute("capture") == "environment"
    picture = {"name": "image.jpg", "mimeType": "image/jpeg", "buffer": FIRST}
    await phone.locator("#camera").set_input_files([picture])
    await expect(card(phone, "image.jpg")).to_be_visible()
    await context.close()


async def test_only_few_large_images_are_held_decoded(page: Page, key: str, ingress: FakeIngress):
    """A decoded image takes 4 bytes a pixel; fifty of 12 megapixels would take 2.4 GB."""
    await page.add_init_script(
        """(() => {
          const make = createImageBitmap, close = ImageBitmap.prototype.close;
          window.createImageBitmap = async (...given) => {
            const made = await make(...given);
            window.openBitmaps = (window.openBitmaps ?? 0) + 1;
            return made;
          };
          ImageBitmap.prototype.close = function () { window.openBitmaps -= 1; close.call(this); };
        })()"""
    )
    await page.reload()
    count = 12
    await send(page, key, **{f"scan{number:02}": jpeg(60 + number) for number in range(count)})
    await expect(page.locator("#progress")).to_contain_text(f"{count} of {count}")
    for number in range(count):
        await select(page, f"scan{number:02}.jpg")
        await expect(pane(page).locator(".provenance")).to_contain_text(
            f"{60 + number} \N{MULTIPLICATION SIGN}"
        )
        await page.wait_for_timeout(30)
    assert await page.evaluate("window.openBitmaps") <= 4
    for number in range(count - 1):
        await page.get_by_role("button", name=f"Remove scan{number:02}.jpg").click()
    await becomes(lambda: few_bitmaps(page, 1))
    await page.get_by_role("button", name="New examination").click()
    await page.get_by_role("button", name="Remove them and begin").click()
    await becomes(lambda: few_bitmaps(page, 0))


async def few_bitmaps(page: Page, most: int) -> bool:
    return await page.evaluate("window.openBitmaps") <= most
