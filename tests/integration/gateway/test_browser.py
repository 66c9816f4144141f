"""The clinician's page in a real browser: one image, from the choice to the downloads."""

import json
import re
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from playwright.async_api import Page, expect

from gateway.audit.models import Record
from pipeline.scores import percent
from tests.integration.gateway.browser import (
    Gate,
    answer_of,
    answering,
    becomes,
    cards,
    choose,
    enter_key,
    find_lesions,
    scored,
    send,
    sign_in,
    ungradable,
    without_lesions,
)
from tests.integration.gateway.client import jpeg
from tests.integration.gateway.ingress import FakeIngress, problem
from tests.integration.gateway.test_sessions import person
from tests.quality import statistics

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_result_shows_lesions_name_time_and_model(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = answering(answer_of)
    await send(page, key, scan=jpeg())
    await expect(page.get_by_role("heading", name="1 lesion found")).to_be_visible()
    await expect(page.get_by_role("heading", name="scan.jpg")).to_be_focused()
    await expect(page.locator(".lesions tr")).to_have_text(["1HSIL87.5 %80 px2.60 %"])
    await expect(page.locator("caption")).to_contain_text("scan.jpg")
    await expect(page.locator("#progress")).to_have_text("scan.jpg: 1 lesion found.")
    provenance = await page.locator(".provenance").inner_text()
    assert re.match(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d · model fake 7 \(\w{12}\)", provenance)
    assert str((await Record.objects.aget()).request_id) in provenance


async def test_names_of_downloads_hold_image_name_and_time(
    page: Page, key: str, ingress: FakeIngress
):
    ingress.answer = answering(answer_of)
    await send(page, key, **{"Jane: Doe\u202e": jpeg()})
    await expect(page.locator(".findings h3")).to_be_visible()
    for link, ending in (("Download JSON", "record.json"), ("Download picture", "overlay.jpg")):
        async with page.expect_download() as download:
            await page.get_by_role("link", name=link).click()
        name = (await download.value).suggested_filename
        stamp = r"20\d\d-\d\d-\d\d_\d\d-\d\d-\d\d"
        assert re.fullmatch(rf"Jane_ Doe__{stamp}_[0-9a-f]{{8}}_{re.escape(ending)}", name)


async def test_downloaded_record_is_whole_answer(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = answering(answer_of)
    async with page.expect_response(re.compile("/predict/")) as response:
        await send(page, key)
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download JSON").click()
    saved = Path(await (await download.value).path()).read_bytes()
    assert saved == await (await response.value).body()
    assert json.loads(saved)["detections"][0]["mask"]["size"] == [48, 64]


async def test_downloaded_picture_is_shown_picture(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = answering(answer_of)
    await send(page, key, scan=jpeg(72, 36))
    picture = page.get_by_role("img", name="scan.jpg with the lesions drawn on")
    await expect(picture).to_have_js_property("naturalWidth", 72)
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download picture").click()
    assert Path(await (await download.value).path()).read_bytes() == jpeg(72, 36)


async def test_page_says_when_picture_cannot_be_shown(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = answering(lambda sent: answer_of(sent, visualization="AAAA"))
    await send(page, key)
    await expect(page.get_by_text("The picture of the lesions cannot be shown.")).to_be_visible()


async def test_file_name_stays_in_browser(page: Page, key: str, ingress: FakeIngress):
    sent: list[bytes] = []
    page.on("request", lambda request: sent.append(request.post_data_buffer or b""))
    page.on("request", lambda request: sent.append(str(request.headers).encode()))
    page.on("request", lambda request: sent.append(request.url.encode()))
    await send(page, key, **{"Jane Doe": jpeg()})
    await expect(page.locator(".findings h3")).to_be_visible()
    assert sent
    assert all(b"Jane" not in body for body in sent)


async def test_page_says_what_to_do_about_refused_key(page: Page, key: str, ingress: FakeIngress):
    await send(page, "wrong")
    await expect(page.get_by_role("alert")).to_contain_text("Check that all of the key was copied")
    await send(page, "schlüssel")
    await expect(page.get_by_role("alert")).to_contain_text("characters that no key has")
    assert ingress.sent == []


async def test_refusal_is_shown_with_its_image(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = lambda sent: problem(sent, 422, "broken_image", "The image is cut off.")
    await send(page, key, scan=jpeg())
    alert = cards(page).filter(has_text="scan.jpg").get_by_role("alert")
    await expect(alert).to_contain_text("The image is cut off.")
    await expect(alert).to_contain_text("Request ")
    await expect(page.locator(".findings h3")).to_have_count(0)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (502, "<html>Bad gateway</html>", "The service answered with status 502"),
        (413, "null", "The service answered with status 413"),
        (200, "<html>Sign in to the guest network</html>", "The answer cannot be shown"),
        (200, "{}", "The answer cannot be shown"),
    ],
)
async def test_page_reports_answer_of_proxy(page: Page, key: str, status, body, words):
    await page.route("**/predict/?*", lambda route: route.fulfill(status=status, body=body))
    await send(page, key)
    await expect(page.get_by_role("alert")).to_contain_text(words)
    await expect(page.locator(".findings")).to_be_empty()


async def test_lost_connection_is_shown(page: Page, key: str, ingress: FakeIngress):
    await page.route("**/predict/?*", lambda route: route.abort())
    await send(page, key)
    await expect(page.get_by_role("alert")).to_contain_text("No answer came back")


SCRIPT = "<img src=x onerror=alert(1)>"


async def test_label_and_name_are_never_markup(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = answering(lambda sent: scored(sent, 0.5, SCRIPT))
    alerts: list[str] = []
    page.on("dialog", lambda dialog: alerts.append(dialog.message))
    await send(page, key, **{SCRIPT: jpeg()})
    await expect(page.locator(".lesions")).to_contain_text(SCRIPT)
    await expect(page.locator(".name")).to_contain_text(SCRIPT)
    assert alerts == []


async def set_threshold(page: Page, value: str) -> None:
    await page.get_by_role("slider").fill(value)


@pytest.mark.parametrize(
    ("hidden", "title", "line"),
    [
        (2, "No lesion at or above the chosen threshold", "2 more findings are"),
        (1, "No lesion at or above the chosen threshold", "1 more finding is"),
        (0, "No lesion found", "No more findings are"),
    ],
)
async def test_page_counts_findings_below_threshold(page: Page, key, ingress, hidden, title, line):
    ingress.answer = answering(lambda sent: without_lesions(sent, below_threshold=hidden))
    await set_threshold(page, "0.85")
    await expect(page.locator("output")).to_have_text("85.0 %")
    await send(page, key)
    await expect(page.locator(".findings h3")).to_have_text(title)
    expected = f"{line} below the chosen threshold of 85.0 %."
    await expect(page.locator(".hidden-findings")).to_have_text(expected)
    await expect(page.locator(".provenance")).to_contain_text("score threshold 85.0 %")
    await set_threshold(page, "0.2")  # of the next request
    await expect(page.locator(".hidden-findings")).to_have_text(expected)


async def test_page_says_why_image_is_not_gradable(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = answering(
        lambda sent: ungradable(sent, "too_dark", "out_of_focus", "misted_up")
    )
    await send(page, key, scan=jpeg())
    await expect(page.get_by_role("heading", name="1 lesion found")).to_be_visible()
    notice = page.get_by_role("note")
    await expect(notice).to_contain_text("Check this image.")
    await expect(notice.get_by_role("listitem")).to_have_text(
        [
            "The image is too dark.",
            "The image is out of focus.",
            "The image is not good enough (misted up).",
        ]
    )
    await expect(notice).to_contain_text("the result may be wrong")
    await expect(page.locator("#progress")).to_have_text(
        "scan.jpg: 1 lesion found. 1 image needs a check."
    )


async def test_page_never_calls_withheld_image_free_of_lesions(
    page: Page, key: str, ingress: FakeIngress
):
    ingress.answer = answering(lambda sent: ungradable(sent, "glare", withheld=True))
    await set_threshold(page, "0.85")
    await send(page, key, scan=jpeg())
    await expect(page.locator(".findings h3")).to_have_text(
        "Not analysed: the image is not good enough"
    )
    await expect(page.get_by_role("note")).to_contain_text("The image has too much glare.")
    await expect(page.get_by_role("note")).to_contain_text("This is not a finding.")
    await expect(page.locator(".card .state")).to_have_text("Not analysed.")
    for selector in (".counts", ".findings table", ".hidden-findings"):
        await expect(page.locator(selector)).to_be_hidden()
    await expect(page.get_by_role("img", name="scan.jpg", exact=True)).to_be_visible()


@pytest.mark.parametrize("gradable", [True, None])
async def test_page_shows_no_notice_without_reasons(page: Page, key: str, ingress, gradable):
    assessed = {"gradable": gradable, "reasons": [], "withheld": False}
    quality = {"statistics": statistics().model_dump(), **assessed}
    ingress.answer = answering(lambda sent: answer_of(sent, quality=quality))
    await send(page, key)
    await expect(page.locator(".findings h3")).to_be_visible()
    await expect(page.locator(".ungradable")).to_be_hidden()


async def test_page_omits_threshold_that_was_not_set(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = answering(without_lesions)
    await send(page, key)
    await expect(page.locator(".findings h3")).to_have_text("No lesion found")
    await expect(page.locator(".hidden-findings")).to_be_hidden()
    await expect(page.locator(".provenance")).to_contain_text("score threshold of the model")


async def test_page_rounds_scores_as_picture_does(page: Page):
    scores = [0, 1, 1e-7, 1e-6, 0.0005, 0.00049999999, 0.9245, 0.92449999999999, 0.9995, 0.9994999]
    scores += [0.145, 0.285, 0.5725, 0.0045, 0.30000000000000004, 2**-20, 2**-30, 0.12345678]
    scores += [number / 10_000 for number in range(0, 10_001, 5)]
    shown = await page.evaluate(
        """async (scores) => {
          const { percent } = await import("/static/web/percent.js");
          return scores.map(percent);
        }""",
        scores,
    )
    assert shown == [percent(score) for score in scores]


async def test_table_shows_rounded_score(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = answering(lambda sent: scored(sent, 0.9245))
    await send(page, key)
    await expect(page.locator(".lesions tr")).to_contain_text(["92.5 %"])


async def test_progress_is_shown_and_can_be_cancelled(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = Gate(1, lambda sent: scored(sent, len(ingress.sent) / 10))
    await send(page, key, scan=jpeg())
    card = cards(page)
    await expect(card).to_have_attribute("data-state", "analysing")
    await expect(card.get_by_role("progressbar")).to_be_visible()
    await expect(page.locator("#progress")).to_have_text("Looking for lesions in scan.jpg …")
    await page.get_by_role("button", name="Cancel").click()
    await expect(card.locator(".state")).to_have_text("Cancelled.")
    await expect(page.locator("#progress")).to_have_text("Cancelled.")
    await expect(page.get_by_role("button", name="Find lesions")).to_be_focused()
    await expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    await becomes(lambda: Record.objects.filter(state="aborted").aexists())
    await page.get_by_role("button", name="Find lesions").click()
    await expect(page.locator(".lesions tr")).to_contain_text(["20.0 %"])
    ingress.answer.open()


async def test_upload_shows_share_sent(page: Page, key: str, ingress: FakeIngress):
    devtools = await page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 20_000}
    await devtools.send("Network.emulateNetworkConditions", slow)
    await send(page, key, scan=jpeg() + bytes(200_000))
    await expect(page.locator(".state")).to_have_text(re.compile(r"Sending … [1-9]\d? %"))
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator(".state")).to_have_text("Cancelled.")
    assert ingress.sent == []


@pytest.mark.parametrize("way", ["submit.click()", "form.requestSubmit()"])
async def test_double_submit_sends_once(page: Page, key: str, ingress: FakeIngress, way):
    await enter_key(page, key)
    await choose(page, scan=jpeg())
    await page.evaluate(
        f"() => {{ const form = document.getElementById('form'), submit = form.elements.submit;"
        f"{way}; {way}; }}"
    )
    await expect(page.get_by_role("heading", name="1 lesion found")).to_be_visible()
    assert len(ingress.sent) == 1


async def test_submit_without_image_asks_for_image(page: Page, key: str):
    await enter_key(page, key)
    await page.get_by_role("button", name="Find lesions").click()
    await expect(page.get_by_role("status").last).to_have_text("Choose an image first.")
    await expect(page.locator("#file")).to_be_focused()


async def test_usage_charts_show_labels_as_text(page: Page, key: str, ingress: FakeIngress):
    await sync_to_async(person)("auditor", "auditor")
    ingress.answer = answering(lambda sent: scored(sent, 0.5, SCRIPT))
    await send(page, key)
    await expect(page.locator(".findings h3")).to_be_visible()
    await sign_in(page, "auditor")
    await page.get_by_role("link", name="Usage charts").click()
    await expect(page.get_by_role("rowheader", name=SCRIPT)).to_be_visible()


async def test_signed_in_person_needs_no_key(page: Page, ingress: FakeIngress):
    await sync_to_async(person)()
    await sign_in(page)
    await expect(page.get_by_text("Signed in as nurse of a clinic")).to_be_visible()
    await find_lesions(page)
    await expect(page.get_by_role("heading", name="1 lesion found")).to_be_visible()
    assert (await Record.objects.aget()).user == "nurse"
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("API key")).to_be_visible()


async def test_wrong_password_is_refused(page: Page):
    await sync_to_async(person)()
    await sign_in(page, password="another password")
    await expect(page.get_by_role("alert")).to_contain_text("user name or the password is wrong")
