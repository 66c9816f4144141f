"""The clinician's page in a real browser."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session
from playwright.async_api import Browser, Page, async_playwright, expect

from gateway.usage.models import Record
from pipeline.scores import percent
from tests.integration.gateway.client import Gateway, jpeg
from tests.integration.gateway.ingress import FakeIngress, Sent, problem
from tests.integration.gateway.test_gateway_sessions import PASSWORD, person

# The browser outlives a test, and belongs to one event loop.
pytestmark = pytest.mark.asyncio(loop_scope="module")

BROWSER = Path("/usr/bin/chromium")  # Debian's
QUIET = [
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    if not BROWSER.is_file():
        pytest.skip("Chromium is not installed (Debian: chromium)")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=str(BROWSER), args=QUIET)
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, gateway: Gateway) -> AsyncIterator[Page]:
    opened = await browser.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on(
        "console",
        lambda said: complaints.append(said.text) if "Content Security" in said.text else None,
    )
    await opened.goto(f"http://127.0.0.1:{gateway.port}/")
    yield opened
    await opened.close()
    assert complaints == []


async def send(page: Page, key: str, content: bytes, name: str = "image.jpg") -> None:
    await page.get_by_label("API key").fill(key.removeprefix("X-API-Key: "))
    await find_lesions(page, content, name)


async def find_lesions(page: Page, content: bytes, name: str = "image.jpg") -> None:
    await page.locator("#file").set_input_files(
        {"name": name, "mimeType": "image/jpeg", "buffer": content}
    )
    await page.get_by_role("button", name="Find lesions").click()


async def test_it_shows_the_lesions_the_picture_and_what_to_download(page: Page, key: str, ingress):
    await send(page, key, jpeg())
    await expect(page.get_by_role("heading", name="1 lesion found")).to_be_visible()
    row = page.locator("#lesions tr")
    await expect(row).to_have_text(["1HSIL87.5 %80 px2.60 %"])
    await expect(page.locator("#overlay")).to_have_attribute("src", "data:image/jpeg;base64,AAAA")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download JSON").click()
    assert (await download.value).suggested_filename == "prediction.json"


async def test_the_files_name_stays_in_the_browser(page: Page, key: str, ingress: FakeIngress):
    sent: list[bytes] = []
    page.on("request", lambda request: sent.append(request.post_data_buffer or b""))
    await send(page, key, jpeg(), "Jane Doe.jpg")
    await expect(page.locator("#result")).to_be_visible()
    assert sent
    assert all(b"Jane" not in body for body in sent)


async def test_a_wrong_key_says_what_to_do(page: Page, key: str):
    await send(page, "wrong", jpeg())
    await expect(page.get_by_role("alert")).to_contain_text("Check that all of the key was copied")
    await expect(page.locator("#result")).to_be_hidden()


async def test_a_refusal_of_the_service_is_told_with_its_request_id(page: Page, key: str, ingress):
    ingress.answer = lambda sent: problem(sent, 422, "broken_image", "The image is cut off.")
    await send(page, key, jpeg())
    await expect(page.get_by_role("alert")).to_contain_text("The image is cut off.")
    await expect(page.get_by_role("alert")).to_contain_text("Request ")


SCRIPT = "<img src=x onerror=alert(1)>"


def labelled(label: str) -> Callable[[Sent], tuple[int, bytes]]:
    def answer(sent: Sent) -> tuple[int, bytes]:
        if sent.path != "/predict":
            return 503, b""  # the page asks whether the model is ready, too
        body = FakeIngress.predict(sent)
        body["detections"][0]["label"] = label
        body["metrics"]["class_distribution"] = {label: 1}
        return 200, json.dumps(body).encode()

    return answer


SCORES = [
    *(1.0, 0.99996, 0.9996, 0.9995, 0.9994, 0.92449, 0.9245, 0.8999999761581421, 0.57, 0.5005),
    *(0.5, 0.29, 0.0625, 0.0005, 0.00049999999, 0.0001, 0.00001, 1e-7, 5e-324, 0.0),
]


def scored(sent: Sent) -> tuple[int, bytes]:
    body = FakeIngress.predict(sent)
    (detection,) = body["detections"]
    body["detections"] = [
        detection | {"id": number, "score": score} for number, score in enumerate(SCORES)
    ]
    body["metrics"] = {
        "class_distribution": {"LSIL": 0, "HSIL": len(SCORES)},
        "scores": SCORES,
        "box_areas": [100.0] * len(SCORES),
    }
    return 200, json.dumps(body).encode()


async def test_the_page_writes_scores_as_the_picture_does(page: Page, key, ingress: FakeIngress):
    ingress.answer = lambda sent: scored(sent) if sent.path == "/predict" else (503, b"")
    await send(page, key, jpeg())
    rows = page.locator("#lesions tr")
    await expect(rows).to_contain_text([percent(score) for score in SCORES])


async def test_a_label_is_text_and_never_markup(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = labelled(SCRIPT)
    alerts: list[str] = []
    page.on("dialog", lambda dialog: alerts.append(dialog.message))
    await send(page, key, jpeg())
    await expect(page.locator("#lesions")).to_contain_text(SCRIPT)
    assert alerts == []


async def sign_in(page: Page, password: str = PASSWORD, name: str = "nurse") -> None:
    await page.get_by_role("link", name="sign in").click()
    await page.get_by_label("User name").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def test_whoever_signs_in_sends_an_image_without_a_key_and_signs_out(page: Page, ingress):
    await sync_to_async(person)()
    await sign_in(page)
    await expect(page.get_by_text("Signed in as nurse")).to_be_visible()
    await find_lesions(page, jpeg())
    await expect(page.get_by_role("heading", name="1 lesion found")).to_be_visible()
    assert (await Record.objects.aget()).user == "nurse"
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("API key")).to_be_visible()


async def test_a_wrong_password_is_told_and_opens_nothing(page: Page):
    await sync_to_async(person)()
    await sign_in(page, "another password")
    await expect(page.get_by_role("alert")).to_contain_text("user name or the password is wrong")


async def test_whoever_was_signed_out_meanwhile_is_told_to_sign_in(page: Page, ingress):
    await sync_to_async(person)()
    await sign_in(page)
    await expect(page.get_by_text("Signed in as nurse")).to_be_visible()
    await Session.objects.all().adelete()
    await find_lesions(page, jpeg())
    await expect(page.get_by_role("alert")).to_contain_text("Or sign in again")
    assert ingress.sent == []


async def test_the_usage_charts_show_what_an_organisation_used_as_text(page: Page, key, ingress):
    await sync_to_async(person)("auditor", "auditor")
    ingress.answer = labelled(SCRIPT)
    await send(page, key, jpeg())
    await expect(page.locator("#result")).to_be_visible()
    await sign_in(page, name="auditor")
    await expect(page.get_by_text("Signed in as auditor")).to_be_visible()
    await page.goto(page.url.replace("/login/", "/") + "admin/usage/tally/")
    await expect(page.get_by_role("rowheader", name=SCRIPT)).to_be_visible()
