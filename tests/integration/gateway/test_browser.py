"""The clinician's page in a real browser: one image, from the choice to the downloads."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
from asgiref.sync import sync_to_async
from django.templatetags.static import static
from playwright.async_api import Page, expect

from gateway.audit.models import Record
from pipeline.scores import percent
from tests.integration.gateway.browser import (
    Gate,
    answer_of,
    answering,
    becomes,
    card,
    cards,
    choose,
    enter_key,
    find_lesions,
    give_password,
    open_start_page,
    pane,
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
from tests.tiffs import page as tiff_page
from tests.tiffs import tiff

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_result_shows_count_name_time_and_model(page: Page, key: str, ingress: FakeIngress):
    await send(page, key, scan=jpeg())
    await expect(pane(page).get_by_role("heading", name="1 lesion found")).to_be_visible()
    await expect(pane(page).get_by_role("heading", name="scan.jpg")).to_be_focused()
    await expect(card(page, "scan.jpg").locator(".state")).to_have_text("1 lesion found: HSIL")
    await expect(page.locator("#progress")).to_have_text("scan.jpg. 1 lesion found: HSIL.")
    provenance = await page.locator(".provenance").first.inner_text()
    assert re.match(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d · model fake 7 \(\w{12}\)", provenance)
    assert str((await Record.objects.aget()).request_id) in provenance


async def test_viewer_shows_image_that_was_sent(page: Page, key: str, ingress: FakeIngress):
    await send(page, key, scan=jpeg(72, 36))
    await expect(pane(page).locator(".view canvas").first).to_be_visible()
    await expect(pane(page).locator(".preview")).to_be_hidden()
    await expect(pane(page).locator(".flat")).to_be_hidden()
    assert "visualization=none" in ingress.sent[0].query


async def test_names_of_downloads_hold_image_name_and_time(
    page: Page, key: str, ingress: FakeIngress
):
    await send(page, key, **{"Jane: Doe\u202e": jpeg()})
    await expect(pane(page).locator(".view")).to_be_visible()
    for role, label, ending in (
        ("link", "Download JSON", "record.json"),
        ("button", "Download picture", "lesions.png"),
    ):
        async with page.expect_download() as download:
            await page.get_by_role(role, name=label).click()
        name = (await download.value).suggested_filename
        stamp = r"20\d\d-\d\d-\d\d_\d\d-\d\d-\d\d"
        assert re.fullmatch(rf"Jane_ Doe__{stamp}_[0-9a-f]{{8}}_{re.escape(ending)}", name)


async def test_downloaded_record_is_whole_answer(page: Page, key: str, ingress: FakeIngress):
    async with page.expect_response(re.compile("/predict/")) as response:
        await send(page, key)
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download JSON").click()
    saved = Path(await (await download.value).path()).read_bytes()
    assert saved == await (await response.value).body()
    assert json.loads(saved)["detections"][0]["mask"]["size"] == [48, 64]


TIFF = tiff(tiff_page(np.full((36, 72, 3), 120, np.uint8)))


async def send_tiff(page: Page, key: str) -> None:
    await enter_key(page, key)
    file = {"name": "scan.tif", "mimeType": "image/tiff", "buffer": TIFF}
    await page.locator("#file").set_input_files([file])
    await expect(cards(page)).to_have_count(1)
    await page.get_by_role("button", name="Find lesions").click()


async def test_image_that_browser_cannot_show_has_picture_of_service(
    page: Page, key: str, ingress: FakeIngress
):
    def drawn(sent):
        answer = answer_of(sent)
        answer["visualization"] = base64.b64encode(jpeg(72, 36)).decode()
        return answer

    ingress.answer = answering(drawn)
    await send_tiff(page, key)
    picture = pane(page).get_by_role("img", name="scan.tif with the lesions drawn on")
    await expect(picture).to_have_js_property("naturalWidth", 72)
    assert "visualization=jpeg" in ingress.sent[0].query
    await expect(pane(page).locator(".lesions tbody tr")).to_have_text(
        [re.compile(r"^1HSIL87\.5 %80 px")]
    )
    await expect(pane(page).locator("caption")).to_contain_text("scan.tif")
    await expect(card(page, "scan.tif").locator(".thumbnail")).to_have_js_property(
        "naturalWidth", 72
    )
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Download picture").click()
    assert Path(await (await download.value).path()).read_bytes() == jpeg(72, 36)


async def test_page_says_when_picture_cannot_be_shown(page: Page, key: str, ingress: FakeIngress):
    await send_tiff(page, key)
    await expect(page.get_by_text("The picture of the lesions cannot be shown.")).to_be_visible()


async def test_file_name_stays_in_browser(page: Page, key: str, ingress: FakeIngress):
    sent: list[bytes] = []
    page.on("request", lambda request: sent.append(request.post_data_buffer or b""))
    page.on("request", lambda request: sent.append(str(request.headers).encode()))
    page.on("request", lambda request: sent.append(request.url.encode()))
    await send(page, key, **{"Jane Doe": jpeg()})
    await expect(pane(page).locator(".count")).to_be_visible()
    assert sent
    assert all(b"Jane" not in body for body in sent)


async def test_page_says_what_to_do_about_refused_key(page: Page, key: str, ingress: FakeIngress):
    await send(page, "wrong")
    await expect(page.get_by_role("alert")).to_contain_text("Check that all of the key was copied")
    await enter_key(page, "schlüssel")
    await page.get_by_role("button", name="Retry 1 failed").click()
    await expect(page.get_by_role("alert")).to_contain_text("characters that no key has")
    assert ingress.sent == []


async def test_refusal_is_shown_with_its_image(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = lambda sent: problem(sent, 422, "broken_image", "The image is cut off.")
    await send(page, key, scan=jpeg())
    alert = pane(page).filter(has_text="scan.jpg").get_by_role("alert")
    await expect(alert).to_contain_text("The image is cut off.")
    await expect(alert).to_contain_text("Request ")
    await expect(card(page, "scan.jpg")).to_have_attribute("data-state", "failed")
    await expect(pane(page).locator(".count")).to_be_empty()


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
    await expect(pane(page).locator(".count")).to_be_empty()


SCRIPT = "<img src=x onerror=alert(1)>"


async def test_label_and_name_are_never_markup(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = answering(lambda sent: scored(sent, 0.5, SCRIPT))
    alerts: list[str] = []
    page.on("dialog", lambda dialog: alerts.append(dialog.message))
    await send(page, key, **{SCRIPT: jpeg()})
    await expect(pane(page).locator(".view")).to_contain_text(SCRIPT)
    await expect(pane(page).locator(".name")).to_contain_text(SCRIPT)
    await expect(card(page, SCRIPT)).to_be_visible()
    assert alerts == []


async def test_page_says_why_image_is_not_gradable(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = answering(
        lambda sent: ungradable(sent, "too_dark", "out_of_focus", "misted_up")
    )
    await send(page, key, scan=jpeg())
    await expect(pane(page).get_by_role("heading", name="1 lesion found")).to_be_visible()
    notice = pane(page).locator(".ungradable")
    await expect(notice).to_contain_text("Check this image.")
    await expect(notice.get_by_role("listitem")).to_have_text(
        [
            "The image is too dark.",
            "The image is out of focus.",
            "The image is not good enough (misted up).",
        ]
    )
    await expect(notice).to_contain_text("the result may be wrong")
    await expect(card(page, "scan.jpg").locator(".state")).to_contain_text("Result not reliable.")
    await expect(page.locator("#progress")).to_have_text(
        "scan.jpg. Result not reliable. 1 lesion found: HSIL. 1 image needs a check."
    )


async def test_page_never_calls_ungradable_image_free_of_lesions(
    page: Page, key: str, ingress: FakeIngress
):
    ingress.answer = answering(
        lambda sent: without_lesions(sent, quality=ungradable(sent, "too_dark")["quality"])
    )
    await send(page, key, scan=jpeg())
    await expect(pane(page).locator(".count")).to_have_text("Result not reliable")
    await expect(cards(page).locator(".state")).to_have_text("Result not reliable")
    await expect(cards(page).locator(".badge")).to_have_text("!")
    assert "No lesion" not in await page.locator("#workplace").inner_text()


async def test_page_never_calls_withheld_image_free_of_lesions(
    page: Page, key: str, ingress: FakeIngress
):
    ingress.answer = answering(lambda sent: ungradable(sent, "glare", withheld=True))
    await send(page, key, scan=jpeg())
    words = "Not analysed: the image is not good enough"
    await expect(pane(page).locator(".count")).to_have_text(words)
    await expect(pane(page).locator(".ungradable")).to_contain_text("too much glare.")
    await expect(pane(page).locator(".ungradable")).to_contain_text("This is not a finding.")
    await expect(cards(page).locator(".state")).to_contain_text(words)
    await expect(cards(page).locator(".badge")).to_have_text("!")
    assert "No lesion" not in await page.locator("#workplace").inner_text()


@pytest.mark.parametrize("gradable", [True, None])
async def test_page_shows_no_notice_without_reasons(page: Page, key: str, ingress, gradable):
    assessed = {"gradable": gradable, "reasons": [], "withheld": False}
    quality = {"statistics": statistics().model_dump(), **assessed}
    ingress.answer = answering(lambda sent: answer_of(sent, quality=quality))
    await send(page, key)
    await expect(pane(page).locator(".count")).to_be_visible()
    await expect(pane(page).locator(".ungradable")).to_be_hidden()


async def test_page_says_that_no_lesion_was_found(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = answering(without_lesions)
    await send(page, key)
    await expect(pane(page).locator(".count")).to_have_text("No lesion found")


async def test_page_rounds_scores_as_picture_does(page: Page):
    scores = [0, 1, 1e-7, 1e-6, 0.0005, 0.00049999999, 0.9245, 0.92449999999999, 0.9995, 0.9994999]
    scores += [0.145, 0.285, 0.5725, 0.0045, 0.30000000000000004, 2**-20, 2**-30, 0.12345678]
    scores += [number / 10_000 for number in range(0, 10_001, 5)]
    shown = await page.evaluate(
        """async ([module, scores]) => {
          const { percent } = await import(module);
          return scores.map(percent);
        }""",
        [static("web/percent.js"), scores],
    )
    assert shown == [percent(score) for score in scores]


async def test_progress_is_shown_and_can_be_cancelled(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = Gate(1, lambda sent: scored(sent, len(ingress.sent) / 10))
    await send(page, key, scan=jpeg())
    image = card(page, "scan.jpg")
    await expect(image).to_have_attribute("data-state", "analysing")
    await expect(image.get_by_role("progressbar")).to_be_visible()
    await expect(page.locator("#progress")).to_have_text("Looking for lesions in scan.jpg …")
    await page.get_by_role("button", name="Cancel all").click()
    await expect(image.locator(".state")).to_have_text("Cancelled.")
    await expect(page.locator("#progress")).to_have_text("Cancelled.")
    await expect(page.get_by_role("button", name="Find lesions")).to_be_focused()
    await expect(page.get_by_role("button", name="Cancel all")).to_be_hidden()
    await becomes(lambda: Record.objects.filter(state="aborted").aexists())
    await page.get_by_role("button", name="Find lesions").click()
    await expect(pane(page).locator(".view")).to_contain_text("20.0 %")
    ingress.answer.open()


async def test_upload_shows_share_sent(page: Page, key: str, ingress: FakeIngress):
    devtools = await page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 20_000}
    await devtools.send("Network.emulateNetworkConditions", slow)
    await send(page, key, scan=jpeg() + bytes(200_000))
    share = re.compile(r"Sending … [1-9]\d? %")
    await expect(card(page, "scan.jpg").locator(".state")).to_have_text(share)
    await expect(pane(page).locator(".state")).to_have_text(share)
    await pane(page).get_by_role("button", name="Cancel this").click()
    await expect(card(page, "scan.jpg").locator(".state")).to_have_text("Cancelled.")
    assert ingress.sent == []


@pytest.mark.parametrize("way", ["submit.click()", "form.requestSubmit()"])
async def test_double_submit_sends_once(page: Page, key: str, ingress: FakeIngress, way):
    await enter_key(page, key)
    await choose(page, scan=jpeg())
    await expect(cards(page)).to_have_count(1)
    await page.evaluate(
        f"() => {{ const form = document.getElementById('form'), submit = form.elements.submit;"
        f"{way}; {way}; }}"
    )
    await expect(page.get_by_role("heading", name="1 lesion found")).to_be_visible()
    assert len(ingress.sent) == 1


async def test_submit_without_image_asks_for_image(page: Page, key: str):
    await enter_key(page, key)
    await page.get_by_role("button", name="Find lesions").click()
    await expect(page.locator("#progress")).to_have_text("Choose an image first.")
    await expect(page.locator("#file")).to_be_focused()


async def test_usage_charts_show_labels_as_text(page: Page, key: str, ingress: FakeIngress):
    await sync_to_async(person)("auditor", "auditor")
    ingress.answer = answering(lambda sent: scored(sent, 0.5, SCRIPT))
    await send(page, key)
    await expect(pane(page).locator(".count")).to_be_visible()
    await page.get_by_role("link", name="Sign in").click()
    await page.get_by_role("button", name="Remove them and sign in").click()
    await give_password(page, "auditor")
    await open_start_page(page)
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
    await expect(page.get_by_role("link", name="Sign in")).to_be_visible()


async def test_wrong_password_is_refused(page: Page):
    await sync_to_async(person)()
    await sign_in(page, password="another password")
    await expect(page.get_by_role("alert")).to_contain_text("user name or the password is wrong")
    await expect(page.get_by_label("User name")).to_have_value("nurse")
    await expect(page.get_by_label("Password")).to_be_focused()
