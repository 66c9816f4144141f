"""The report that the clinician's page prints."""

import json
import re
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session
from playwright.async_api import Browser, Locator, Page, expect

from gateway.audit.models import Record
from gateway.reviews.models import Verdict, Version
from tests.integration.gateway.browser import (
    answering,
    becomes,
    cards,
    choose,
    find_lesions,
    open_report,
    opened,
    pane,
    print_report,
    select,
    send,
    sign_in,
    ungradable,
    without_lesions,
)
from tests.integration.gateway.client import Gateway, jpeg
from tests.integration.gateway.demo_model import demo_answers, example
from tests.integration.gateway.ingress import FakeIngress, Sent
from tests.integration.gateway.test_sessions import person

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIRST, SECOND = jpeg(640, 480), jpeg(620, 480)
PATIENT = "Jane Doe, 1980"
A4 = {"width": 680, "height": 1000}  # the window in which a page's 180 mm are as wide as on paper
MILLIMETRE = 96 / 25.4  # CSS pixels
# Notes what is written into pictures that are not on the screen, how high and in which colour.
WATCH_LETTERS = """
() => {
  window.letters = [];
  const { fillText } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.fillText = function (words, ...place) {
    const box = this.measureText(words);
    const high = box.actualBoundingBoxAscent + box.actualBoundingBoxDescent;
    const { isConnected, width } = this.canvas;
    if (!isConnected) window.letters.push({ words, height: high / width, ink: this.fillStyle });
    fillText.call(this, words, ...place);
  };
}
"""
# How many lines each word of the names of classes takes.
LINES_OF_WORDS = """
(cells) => cells.flatMap((cell) => {
  const [node] = cell.childNodes;
  return [...node.data.matchAll(/\\S+/g)].map(({ 0: word, index }) => {
    const range = document.createRange();
    range.setStart(node, index);
    range.setEnd(node, index + word.length);
    return [word, range.getClientRects().length];
  });
})
"""


async def test_report_holds_findings_picture_identity_and_context(
    page: Page, key: str, ingress: FakeIngress
):
    await send(page, key, a=FIRST, b=SECOND)
    await expect(page.locator("#progress")).to_have_text("2 of 2 images are analysed.")
    await open_report(page)
    await page.get_by_label("Patient").fill(PATIENT)
    await page.get_by_label("Indication").fill("HPV 16")
    await print_report(page)
    report = page.locator("#report")
    await expect(report).to_be_visible()
    await expect(page.locator("#workplace")).to_be_hidden()
    for words in (PATIENT, "HPV 16", "Not a diagnosis.", "fake 7", "portable, float32", "50.0 %"):
        await expect(report).to_contain_text(words)
    sections = report.locator(".report-image")
    await expect(sections).to_have_count(2)
    await expect(sections.locator("h2")).to_have_text(["a.jpg", "b.jpg"])
    await expect(sections.first.locator("tbody tr")).to_contain_text(["HSIL"])
    picture = sections.first.get_by_role("img", name="a.jpg with the lesions drawn on")
    await expect(picture).to_have_js_property("naturalWidth", 640)
    async for record in Record.objects.all():
        await expect(report).to_contain_text(str(record.request_id))


async def test_sizes_are_in_the_unit_of_the_screen_and_say_where_from(page: Page, key, ingress):
    ingress.answer = demo_answers()
    await send(page, key, a=example(1))
    row = page.locator("#report .lesions tbody tr").filter(has_text="HSIL")
    await open_report(page)
    await print_report(page)
    await expect(row).to_contain_text(re.compile(r"[\d,]+ pixels.*[\d.]+ pixels"))
    await expect(page.locator("#report .scale")).to_have_text(re.compile("in pixels: no scale"))
    await page.emulate_media(media="screen")
    await page.get_by_role("button", name="Close").click()
    await pane(page).get_by_role("button", name="Scale").click()
    await pane(page).locator(".viewer-scale-other summary").click()
    field = pane(page).locator(".viewer-scale-pixel input")
    await field.fill("0.05")
    await field.press("Enter")
    first = pane(page).locator(".viewer-lesions li").filter(has_text="HSIL")
    area, diameter = (await first.locator(".viewer-size").inner_text()).split(", ")
    await page.keyboard.press("Escape")
    await open_report(page)
    await print_report(page)
    assert "mm²" in area
    await expect(row).to_contain_text(area)
    await expect(row).to_contain_text(diameter.removesuffix(" across"))
    await expect(page.locator("#report .scale")).to_contain_text("0.05 mm per pixel")


async def test_each_page_has_patient_number_and_demo_note(page: Page, key: str, ingress):
    ingress.answer = demo_answers()
    await send(page, key, a=example(1), b=example(2), c=example(3))
    await expect(page.locator("#progress")).to_have_text("3 of 3 images are analysed.")
    await open_report(page)
    await page.get_by_label("Patient").fill(PATIENT)
    await print_report(page)
    # Most browsers repeat the head of a table on each page; Safari begins an image with it.
    heads = page.locator(".report-sheet > thead")
    await expect(heads).to_have_count(3)
    for head in await heads.all():
        await expect(head).to_have_css("display", "table-header-group")
        for words in (PATIENT, "not stated", "Demo model: not for clinical use"):
            await expect(head).to_contain_text(words)
    await expect(page.locator("#report h1")).to_have_count(1)
    await expect(page.locator("#report .report-foot")).to_have_count(1)
    number = "getComputedStyle(document.documentElement).getPropertyValue('--page-number')"
    assert await page.evaluate(number) == '"Page " counter(page) " of " counter(pages) ""'
    pages = re.findall(rb"/Type ?/Page\b", await page.pdf(format="A4"))
    assert len(pages) == 3


async def test_report_of_selected_image_holds_no_other(page: Page, key: str, ingress):
    await send(page, key, a=FIRST, b=SECOND)
    await expect(page.locator("#progress")).to_have_text("2 of 2 images are analysed.")
    await open_report(page)
    await page.get_by_label("Only a.jpg").check()
    await print_report(page)
    await expect(page.locator(".report-image h2")).to_have_text(["a.jpg"])


async def test_report_says_that_image_needs_check(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = answering(lambda sent: ungradable(sent, "glare", withheld=True))
    await send(page, key, a=FIRST)
    await expect(pane(page).locator(".count")).to_contain_text("Not analysed")
    await open_report(page)
    await print_report(page)
    report = page.locator("#report")
    await expect(report).to_contain_text("Not analysed: the image is not good enough")
    await expect(report).to_contain_text("The image has too much glare.")
    await expect(report).to_contain_text("This is not a finding.")
    await expect(report.locator(".lesions")).to_have_count(0)


async def test_report_of_unreliable_image_says_that_nothing_was_marked(
    page: Page, key: str, ingress: FakeIngress
):
    ingress.answer = answering(lambda sent: without_lesions(sent) | quality_of(sent))
    await send(page, key, a=FIRST)
    await expect(pane(page).locator(".count")).to_have_text("Result not reliable")
    await open_report(page)
    await print_report(page)
    await expect(page.locator("#report .consequence")).to_contain_text(
        "The model marked no lesion in this image, but that is not reliable."
    )


def quality_of(sent: Sent) -> dict[str, object]:
    return {"quality": ungradable(sent, "glare")["quality"]}


async def test_context_of_patient_is_never_sent(page: Page, key: str, ingress: FakeIngress):
    sent: list[bytes] = []
    page.on("request", lambda request: sent.append(request.post_data_buffer or b""))
    page.on("request", lambda request: sent.append(request.url.encode()))
    await send(page, key, a=FIRST)
    await open_report(page)
    await page.get_by_label("Patient").fill(PATIENT)
    await page.get_by_label("Patient").press("Enter")  # closes the dialog, and sends no form
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.get_by_role("button", name="Report").click()
    await expect(page.get_by_label("Patient")).to_have_value(PATIENT)
    await print_report(page)
    assert all(b"Jane" not in body for body in sent)
    assert await page.evaluate("localStorage.length + sessionStorage.length") == 0


async def test_context_and_report_are_forgotten_with_images(page: Page, key: str, ingress):
    await send(page, key, a=FIRST)
    await open_report(page)
    await page.get_by_label("Patient").fill(PATIENT)
    await print_report(page)
    await page.emulate_media(media="screen")
    await page.get_by_role("button", name="Close").click()
    await page.get_by_role("button", name="New examination").click()
    await expect(page.locator("#report")).to_contain_text("a.jpg")
    await page.get_by_role("button", name="Remove them and begin").click()
    await expect(page.locator("#report")).to_be_empty()
    await find_lesions(page, b=SECOND)
    await expect(pane(page).locator(".count")).to_be_visible()
    await page.get_by_role("button", name="Report").click()
    await expect(page.get_by_label("Patient")).to_have_value("")


async def test_report_of_earlier_images_is_not_printed_again(page: Page, key: str, ingress):
    await send(page, key, a=FIRST)
    await open_report(page)
    await print_report(page)
    await page.emulate_media(media="screen")
    await page.get_by_role("button", name="Close").click()
    await choose(page, b=SECOND)
    await expect(page.locator("#report")).to_be_empty()
    await page.emulate_media(media="print")
    await expect(page.get_by_text("To print the findings")).to_be_visible()
    await expect(page.locator("canvas").first).to_be_hidden()


async def test_keys_for_printing_open_report(page: Page, key: str, ingress: FakeIngress):
    await send(page, key, a=FIRST)
    await expect(pane(page).locator(".count")).to_be_visible()
    await page.keyboard.press("Control+p")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await expect(page.get_by_label("Patient")).to_be_focused()


async def test_locked_page_prints_nothing_of_patient(page: Page, ingress: FakeIngress):
    await sync_to_async(person)()
    await sign_in(page)
    await find_lesions(page, a=FIRST)
    await expect(pane(page).locator(".count")).to_be_visible()
    await open_report(page)
    await page.get_by_label("Patient").fill(PATIENT)
    await print_report(page)
    await page.emulate_media(media="screen")
    await Session.objects.all().adelete()
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(page.locator("#locked")).to_be_visible()
    await expect(page.locator("#report")).to_be_empty()
    await expect(page.locator("body")).not_to_contain_text("a.jpg")


def rows(page: Page) -> Locator:
    return page.locator("#report .report-image .lesions tbody tr")


def review_lines(page: Page) -> Locator:
    return page.locator("#report .report-review :is(p, li)")


async def say(page: Page, **body: Any) -> None:
    """Save a review of the selected image, as from another tab."""
    status = await page.evaluate(
        """async (body) => {
          const id = document.querySelector(".provenance").textContent.match(/[0-9a-f-]{36}/)[0];
          const token = document.cookie.match(/csrftoken=([^;]+)/)[1];
          const headers = { "X-CSRFToken": token, "Content-Type": "application/json" };
          const init = { method: "POST", headers, body: JSON.stringify(body) };
          return (await fetch(`/records/${id}/feedback`, init)).status;
        }""",
        body,
    )
    assert status == 200


REJECTED = {"id": 0, "label": "HSIL", "verdict": "reject"}


async def examine(page: Page, ingress: FakeIngress) -> None:
    """Sign a clinician in, and have the demo model look at its first example."""
    ingress.answer = demo_answers()
    await sync_to_async(person)()
    await sign_in(page)
    await find_lesions(page, scan=example(1))
    await expect(pane(page).locator(".viewer-picture")).to_be_visible()


async def find_with_key(page: Page, key: str, image: bytes) -> None:
    """Have an image analysed on a page in any language."""
    await page.locator("#key-details summary").click()
    await page.locator("#key").fill(key.removeprefix("X-API-Key: "))
    await choose(page, a=image)
    await expect(cards(page)).to_have_count(1)
    await page.locator("#submit").click()


async def print_selected(page: Page) -> None:
    await page.emulate_media(media="screen")
    if await page.get_by_role("button", name="Close").is_visible():
        await page.get_by_role("button", name="Close").click()
    await open_report(page)
    await page.get_by_label("Only ").check()
    await print_report(page)


async def test_rows_go_by_severity_with_numbers_of_page(page: Page, key: str, ingress):
    ingress.answer = demo_answers()
    await send(page, key, a=example(1))
    numbers = pane(page).locator(".viewer-lesions .viewer-number")
    await expect(numbers).to_have_text(["3", "1", "2"])
    await open_report(page)
    await print_report(page)
    await expect(rows(page).locator("td:nth-child(1)")).to_have_text(["3", "1", "2"])
    await expect(rows(page).locator("td:nth-child(2)")).to_have_text(["carcinoma", "HSIL", "LSIL"])


@pytest.mark.parametrize(
    ("image", "answers"), [(example(1), True), (jpeg(2400, 700), False)], ids=["tall", "wide"]
)
async def test_numbers_in_picture_are_legible_on_paper(
    page: Page, key: str, ingress: FakeIngress, image, answers
):
    ingress.answer = demo_answers() if answers else None
    await send(page, key, a=image)
    await expect(pane(page).locator(".viewer-picture")).to_be_visible()
    await page.evaluate(WATCH_LETTERS)
    await open_report(page)
    await print_report(page)
    await page.set_viewport_size(A4)
    width = await page.locator("#report figure img").evaluate("(img) => img.clientWidth")
    letters = await page.evaluate("window.letters")
    assert len(letters) == (3 if answers else 1)
    for letter in letters:
        assert letter["height"] * width / MILLIMETRE >= 2.5, letter
        assert letter["ink"] == "#000000"  # on white: class colours are grey on many printers


@pytest.mark.parametrize("language", ["en", "es", "fr", "pt", "sw"])
async def test_names_of_classes_break_between_words_only(
    chromium: Browser, gateway: Gateway, key: str, ingress: FakeIngress, language
):
    name = "Adenocarcinoma endocervical microinvasivo"
    demo = demo_answers()

    def answer(sent: Sent) -> tuple[int, bytes]:
        status, body = demo(sent)
        if sent.path != "/predict":
            return status, body
        found = json.loads(body)
        labels = ("LSIL", "HSIL", "carcinoma")
        found["model"]["labels"] = {label: {language: name} for label in labels}
        return status, json.dumps(found).encode()

    ingress.answer = answer
    url = f"http://127.0.0.1:{gateway.port}/"
    async with opened(chromium, url, locale=language) as page:
        await find_with_key(page, key, example(1))
        await expect(pane(page).locator(".view")).to_be_visible()
        await page.set_viewport_size({"width": 1366, "height": 768})
        listed = await pane(page).locator(".viewer-label").evaluate_all(LINES_OF_WORDS)
        assert len(listed) == 3 * 4
        assert [word for word, count in listed if count > 1] == []
        await page.evaluate("() => { window.print = () => { window.isPrinted = true; }; }")
        await page.locator("#print").click()
        await page.locator("#report-print").click()
        await becomes(lambda: page.evaluate("window.isPrinted === true"))
        await page.emulate_media(media="print")
        await page.set_viewport_size(A4)
        lines = await rows(page).locator("td:nth-child(2)").evaluate_all(LINES_OF_WORDS)
        assert [word for word, _ in lines][:4] == [*name.split(), "(carcinoma)"]
        assert [word for word, count in lines if count > 1] == []
        assert await page.evaluate("document.documentElement.scrollWidth") <= A4["width"]


async def test_saved_review_that_page_has_not_opened_is_in_report(page: Page, ingress: FakeIngress):
    await examine(page, ingress)
    await say(page, lesions=[REJECTED], missed=[{"label": "LSIL"}])
    await print_selected(page)
    await expect(review_lines(page).first).to_have_text(
        re.compile(r"Reviewed by nurse, saved 20.* as version 1\.")
    )
    await expect(rows(page).locator(".said")).to_have_text(
        ["not judged", "rejected: no lesion", "not judged", "missed by the model"]
    )


async def test_earlier_review_of_the_same_lesions_is_in_report(page: Page, ingress: FakeIngress):
    await examine(page, ingress)
    await say(page, lesions=[REJECTED], comment="after acetic acid")
    await find_lesions(page, again=example(1))
    await select(page, "again.jpg")
    await expect(pane(page).locator(".viewer-picture")).to_be_visible()
    await print_selected(page)
    await expect(review_lines(page)).to_have_text(
        [
            re.compile("Reviewed by nurse, 20.* as version 1 of a review of an earlier answer"),
            "2 of 3 lesions are not judged.",
            "Whether the model missed a lesion is not said.",
            "Comment: after acetic acid",
        ]
    )
    await expect(rows(page).locator(".said")).to_have_text(
        ["not judged", "rejected: no lesion", "not judged"]
    )
    await expect(page.locator("#report .report-legend li")).to_have_text(["Dotted: rejected"])


async def test_earlier_review_of_other_lesions_is_told_beside_them(page: Page, ingress):
    await examine(page, ingress)
    await say(page, lesions=[REJECTED])
    for model in (Version, Verdict):  # as if a colleague had said it
        await model.objects.all().aupdate(author="user:mara")
    await Record.objects.all().aupdate(bundle_sha256="e" * 64)
    await find_lesions(page, again=example(1))
    await select(page, "again.jpg")
    await expect(pane(page).locator(".viewer-picture")).to_be_visible()
    await print_selected(page)
    await expect(review_lines(page)).to_have_text(
        [
            "No review by a clinician belongs to this report.",
            re.compile("The image was reviewed before, for another answer"),
            re.compile("Reviewed by mara, 20.* The answer was that of demo"),
            "Lesion 1, HSIL: rejected: no lesion",
            "Lesions 2, 3: not judged",
            re.compile("It was another model"),
        ]
    )
    await expect(rows(page).locator(".said")).to_have_text(["\N{EN DASH}"] * 3)


async def test_report_says_where_reviews_cannot_be_read(page: Page, ingress: FakeIngress):
    await examine(page, ingress)
    await say(page, lesions=[REJECTED])
    await page.route("**/records/**", lambda route: route.abort())
    await print_selected(page)
    await expect(review_lines(page)).to_have_text(
        ["The service did not tell whether the image was reviewed. A review may be missing here."]
    )


# Pictures are made once the test says so.
HOLD_PICTURES = """() => {
  window.pictures = 0;
  const gate = new Promise((resolve) => { window.goOn = resolve; });
  const { postMessage } = Worker.prototype;
  Worker.prototype.postMessage = async function (...given) {
    window.pictures += 1;
    await gate;
    postMessage.apply(this, given);
  };
}"""


async def begin_report(page: Page, key: str) -> None:
    """Press Print, and hold the pictures of the report."""
    await send(page, key, a=FIRST)
    await expect(pane(page).locator(".viewer-picture")).to_be_visible()
    await page.evaluate(HOLD_PICTURES)
    await open_report(page)
    await page.get_by_role("button", name="Print, or save as PDF").click()


async def test_second_press_while_report_is_made_changes_nothing(
    page: Page, key: str, ingress: FakeIngress
):
    await begin_report(page, key)
    making = page.locator("#report-making")
    await expect(making).to_have_text("The report is being made …")
    await page.get_by_role("button", name="Print, or save as PDF").click()
    await page.evaluate("() => window.goOn()")
    await expect(making).to_be_empty()
    await expect(page.locator("#report-problem")).to_be_hidden()
    assert await page.evaluate("[window.prints, window.pictures]") == [1, 1]
    await expect(page.locator("#report-problem")).to_be_hidden()


async def test_class_that_is_not_named_is_in_report(page: Page, ingress: FakeIngress):
    await examine(page, ingress)
    await pane(page).get_by_role("button", name="Review", exact=True).click()
    await pane(page).get_by_role("group", name="Lesion 2,").get_by_text("Other class").click()
    await print_selected(page)
    await expect(rows(page).locator(".said")).to_have_text(
        ["not judged", "not judged", "of another class, not named yet"]
    )
    await expect(page.locator("#report .said-count")).to_have_text(
        "Clinician: 1 of another class, not named yet, 2 not judged"
    )
    await expect(review_lines(page)).to_contain_text(
        ["This review is not saved.", "2 of 3 lesions are not judged."]
    )


async def test_report_is_not_printed_once_its_dialog_is_closed(
    page: Page, key: str, ingress: FakeIngress
):
    await begin_report(page, key)
    await page.keyboard.press("Escape")
    await page.evaluate("() => window.goOn()")
    await expect(page.locator("#report-making")).to_be_empty()
    assert await page.evaluate("window.prints") == 0
    await page.get_by_role("button", name="Report").click()
    await expect(page.locator("#report-problem")).to_be_hidden()
    await print_report(page)


async def test_report_is_forgotten_as_a_review_changes(page: Page, ingress: FakeIngress):
    await examine(page, ingress)
    await print_selected(page)
    report = page.locator("#report")
    await expect(report.locator(".report-image")).to_have_count(1)
    await page.emulate_media(media="screen")
    await page.get_by_role("button", name="Close").click()
    await pane(page).get_by_role("button", name="Review", exact=True).click()
    await pane(page).locator(".choices label").first.click()
    await expect(report.locator(".report-image")).to_have_count(0)


async def test_report_of_images_that_change_meanwhile_is_not_printed(
    page: Page, key: str, ingress: FakeIngress
):
    await begin_report(page, key)
    await choose(page, b=SECOND)
    await expect(cards(page)).to_have_count(2)
    await page.evaluate("() => window.goOn()")
    await expect(page.locator("#report-problem")).to_have_text(
        "The images or their reviews changed meanwhile. Print the report again."
    )
    assert await page.evaluate("window.prints") == 0


async def test_report_that_fails_says_so_in_language_of_page(
    chromium: Browser, gateway: Gateway, key: str, ingress: FakeIngress
):
    url = f"http://127.0.0.1:{gateway.port}/"
    async with opened(chromium, url, locale="es") as page:
        await find_with_key(page, key, FIRST)
        await expect(pane(page).locator(".count")).to_be_visible()
        await page.evaluate(
            """() => {
              Worker.prototype.postMessage = function () {
                this.dispatchEvent(new MessageEvent("message", { data: null }));
              };
            }"""
        )
        await page.locator("#print").click()
        await page.locator("#report-print").click()
        await expect(page.locator("#report-problem")).to_have_text(
            "No se puede crear el informe en este navegador. Inténtelo solo con la imagen "
            "seleccionada."
        )


async def test_unknown_refusal_is_named_in_language_of_page(
    chromium: Browser, gateway: Gateway, key: str, ingress: FakeIngress
):
    problem = {"title": "Teapot", "detail": "Short and stout: 2 cups.", "code": "teapot"}
    url = f"http://127.0.0.1:{gateway.port}/"
    async with opened(chromium, url, locale="es") as page:
        await page.route("**/predict/*", lambda route: route.fulfill(status=418, json=problem))
        await find_with_key(page, key, FIRST)
        words = "El servicio respondió con el estado 418"
        await expect(page.locator(".card .state")).to_contain_text(words)
        await expect(page.locator(".card .state")).not_to_contain_text("Teapot")
        shown = pane(page).locator(".problem").first
        await expect(shown.locator("strong")).to_have_text(words)
        await expect(shown.locator("[lang=en]")).to_have_text("Teapot: Short and stout: 2 cups.")
