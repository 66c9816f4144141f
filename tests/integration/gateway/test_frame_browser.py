"""The clinicians' page in a frame of another site, in a real browser."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from playwright.async_api import Browser, BrowserContext, Frame, Page, expect

from gateway.audit.models import Record
from gateway.environment import Rates
from tests.clinics import issue_key
from tests.integration.gateway.browser import (
    answer_of,
    answering,
    becomes,
    enter_key,
    sign_in,
)
from tests.integration.gateway.client import Gateway, jpeg
from tests.integration.gateway.ingress import FakeIngress
from tests.integration.gateway.servers import PROTOCOL, serving
from tests.integration.gateway.test_sessions import person

pytestmark = pytest.mark.asyncio(loop_scope="module")


@contextmanager
def portal(url: str) -> Iterator[str]:
    """Serve a page on another site that shows `url` in a frame, and return its origin."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        page = f"<!doctype html><title>portal</title><iframe src='{url}' width=900 height=600>"
        headers = [(b"content-type", b"text/html")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": page.encode()})

    with serving(app, lifespan="off") as port:
        # localhost and 127.0.0.1 are different sites.
        yield f"http://localhost:{port}"


@pytest_asyncio.fixture(loop_scope="module")
async def context(chromium: Browser) -> AsyncIterator[BrowserContext]:
    context = await chromium.new_context()
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context
    await context.close()
    assert errors == []


async def framed(context: BrowserContext, origin: str) -> tuple[Page, Frame]:
    """Open the portal, and return its page with the frame in it."""
    page = await context.new_page()
    await page.goto(origin)
    await becomes(lambda: len(page.frames) == 2 and page.frames[1].url != "about:blank")
    frame = page.frames[1]
    await frame.wait_for_load_state()
    return page, frame


async def test_unlisted_site_shows_no_page(context: BrowserContext, gateway: Gateway, settings):
    with portal(f"http://127.0.0.1:{gateway.port}/") as origin:
        for listed in ([], ["https://portal.example"], [origin.replace("localhost", "127.0.0.1")]):
            settings.FRAME_ANCESTORS = listed
            page, frame = await framed(context, origin)
            assert frame.url.startswith("chrome-error:"), listed
            await page.close()


@pytest.mark.parametrize("path", ["/login/", "/docs", "/admin/login/"])
async def test_listed_site_shows_no_other_page(
    context: BrowserContext, gateway: Gateway, settings, path
):
    with portal(f"http://127.0.0.1:{gateway.port}{path}") as origin:
        settings.FRAME_ANCESTORS = [origin]
        _, frame = await framed(context, origin)
        assert frame.url.startswith("chrome-error:")


async def send_in(frame: Frame, key: str) -> None:
    await enter_key(frame, key)
    image = {"name": "scan.jpg", "mimeType": "image/jpeg", "buffer": jpeg()}
    await frame.locator("#file").set_input_files([image])
    await frame.get_by_role("button", name="Find lesions in 1 image").click()
    await expect(frame.get_by_role("heading", name="1 lesion found")).to_be_visible()


async def test_key_answers_image_in_frame_of_listed_site(
    context: BrowserContext, gateway: Gateway, key: str, ingress: FakeIngress, settings
):
    ingress.answer = answering(answer_of)
    with portal(f"http://127.0.0.1:{gateway.port}/") as origin:
        settings.FRAME_ANCESTORS = [origin]
        page, frame = await framed(context, origin)
        await send_in(frame, key)
        async with page.expect_download() as download:
            await frame.get_by_role("link", name="Download JSON").click()
        assert (await download.value).suggested_filename.startswith("scan_")


async def test_session_does_not_reach_frame_of_other_site(
    context: BrowserContext, gateway: Gateway, key: str, ingress: FakeIngress, settings
):
    await sync_to_async(person)()
    ingress.answer = answering(answer_of)
    top = await context.new_page()
    await top.goto(f"http://127.0.0.1:{gateway.port}/")
    await sign_in(top)
    await expect(top.get_by_text("Signed in as nurse")).to_be_visible()
    with portal(f"http://127.0.0.1:{gateway.port}/") as origin:
        settings.FRAME_ANCESTORS = [origin]
        _, frame = await framed(context, origin)
        await expect(frame.get_by_role("link", name="Sign in")).to_be_visible()
        await expect(frame.locator(".languages")).to_be_hidden()  # no cookie would keep the choice
        await send_in(frame, key)
    record = await Record.objects.aget()
    assert (record.user, record.key_id != "") == ("", True)


async def test_link_in_frame_opens_tab(context: BrowserContext, gateway: Gateway, settings):
    with portal(f"http://127.0.0.1:{gateway.port}/") as origin:
        settings.FRAME_ANCESTORS = [origin]
        _, frame = await framed(context, origin)
        async with context.expect_page() as opened:
            await frame.get_by_role("link", name="sign in").click()
        tab = await opened.value
        await expect(tab.get_by_role("button", name="Sign in")).to_be_visible()
        assert await tab.evaluate("window.opener") is None
        assert frame.url == f"http://127.0.0.1:{gateway.port}/"


@pytest.fixture
def demo(
    ingress: FakeIngress, transactional_db: None, one_minute: None, settings
) -> Iterator[Gateway]:
    from gateway.asgi import application

    ingress.answer = answering(answer_of)
    settings.UPSTREAM_URL = f"http://127.0.0.1:{ingress.port}"
    settings.PUBLIC_DEMO_KEY = str(issue_key("public demo")[1])
    settings.ROOT_URLCONF = "gateway.public_demo_urls"
    settings.RATES = Rates(caller=100, organisation=100, failures=100, address=2)
    with serving(application, http=PROTOCOL) as port:
        yield Gateway(port)


async def test_demo_in_frame_answers_example_without_cookie(
    context: BrowserContext, demo: Gateway, settings
):
    with portal(f"http://127.0.0.1:{demo.port}/") as origin:
        settings.FRAME_ANCESTORS = [origin]
        _, frame = await framed(context, origin)
        await frame.get_by_role("button", name="synthetic image 1").click()
        await expect(frame.get_by_role("heading", name="1 lesion found")).to_be_visible()
        await expect(frame.get_by_role("heading", name="synthetic-1.jpg")).to_be_focused()
    assert await context.cookies() == []


async def test_banner_of_demo_stays_in_view(context: BrowserContext, demo: Gateway):
    page = await context.new_page()
    await page.set_viewport_size({"width": 390, "height": 500})
    for path in ("/", "/docs", "/nowhere"):
        await page.goto(f"http://127.0.0.1:{demo.port}{path}")
        banner = page.get_by_role("note")
        await expect(banner).to_contain_text("Synthetic demo model, not for clinical use.")
        await page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
        await expect(banner).to_be_in_viewport(ratio=1)
        assert await banner.get_by_role("button").count() == 0


async def test_demo_tells_visitor_over_limit_to_wait(context: BrowserContext, demo: Gateway):
    page = await context.new_page()
    await page.goto(f"http://127.0.0.1:{demo.port}/")
    for number in (1, 2):
        await page.get_by_role("button", name=f"synthetic image {number}").click()
        await expect(page.locator(".pane").first.locator(".name")).to_have_text(
            f"synthetic-{number}.jpg"
        )
        await expect(page.locator(".count").first).to_be_visible()
    await page.get_by_role("button", name="synthetic image 3").click()
    await expect(page.get_by_role("alert")).to_contain_text("Wait a minute and try again.")


async def test_open_page_of_restarted_demo_asks_to_load_again(
    context: BrowserContext, demo: Gateway, settings
):
    page = await context.new_page()
    await page.goto(f"http://127.0.0.1:{demo.port}/")
    await sync_to_async(_revoke_all)()
    await page.get_by_role("button", name="synthetic image 1").click()
    await expect(page.get_by_role("alert")).to_contain_text("The demo was restarted.")


async def test_missing_example_is_reported(context: BrowserContext, demo: Gateway):
    page = await context.new_page()
    await page.goto(f"http://127.0.0.1:{demo.port}/")
    await page.route("**/synthetic-1.jpg", lambda route: route.abort())
    await page.get_by_role("button", name="synthetic image 1").click()
    await expect(page.locator("#refused")).to_contain_text("No answer came back.")


async def test_page_turns_ready_by_itself(
    context: BrowserContext, gateway: Gateway, ingress: FakeIngress
):
    ready = ingress.answer
    ingress.answer = lambda sent: (503, b"{}")
    await becomes(lambda: gateway.get("/readyz").status == 503)  # no longer as a test has left it
    page = await context.new_page()
    await page.goto(f"http://127.0.0.1:{gateway.port}/")
    await expect(page.locator("#service")).to_have_text("The service is not ready yet.")
    ingress.answer = ready
    await expect(page.locator("#service")).to_have_text("Ready: fake 7", timeout=30_000)


def _revoke_all() -> None:
    from gateway.access.models import ApiKey
    from tests.clinics import revoke_key

    for key in ApiKey.objects.all():
        revoke_key(key)
