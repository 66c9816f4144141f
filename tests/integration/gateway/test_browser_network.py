"""The clinician's page on networks that are slow, interrupted or gone."""

import pytest
from playwright.async_api import Page, Route, expect

from tests.integration.gateway.browser import (
    becomes,
    card,
    cards,
    choose,
    enter_key,
    pane,
    select,
    send,
)
from tests.integration.gateway.client import jpeg
from tests.integration.gateway.ingress import FakeIngress

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIRST, SECOND = jpeg(61), jpeg(62)


async def test_lost_connection_is_shown_and_image_can_be_sent_again(
    page: Page, key: str, ingress: FakeIngress
):
    await page.route("**/predict/?*", lambda route: route.abort())
    await send(page, key, a=FIRST)
    await expect(page.get_by_role("alert")).to_contain_text("No answer came back")
    await page.unroute("**/predict/?*")
    await pane(page).get_by_role("button", name="Retry").click()
    await expect(card(page, "a.jpg")).to_have_attribute("data-state", "done")
    await expect(page.get_by_role("alert")).to_have_count(0)


async def test_page_says_that_computer_is_offline(page: Page, key: str, ingress: FakeIngress):
    await expect(page.locator("#offline")).to_be_hidden()
    await page.context.set_offline(True)
    await expect(page.locator("#offline")).to_contain_text("This computer is offline.")
    await expect(page.locator("#service")).to_have_text("Offline")
    await send(page, key, a=FIRST, b=SECOND)
    await expect(page.locator("#progress")).to_have_text("0 of 2 images are analysed. 2 failed.")
    for name in ("a.jpg", "b.jpg"):
        await select(page, name)
        await expect(pane(page).get_by_role("alert")).to_contain_text("This computer is offline.")
    await page.context.set_offline(False)
    await expect(page.locator("#offline")).to_be_hidden()
    await expect(page.locator("#service")).to_have_text("Ready: fake 7")
    await page.get_by_role("button", name="Retry 2 failed").click()
    await expect(page.locator("#progress")).to_have_text("2 of 2 images are analysed.")


async def test_lost_connection_of_one_image_leaves_others(
    page: Page, key: str, ingress: FakeIngress
):
    async def lose_first(route: Route) -> None:
        lost.append(route)
        await (route.abort() if len(lost) == 1 else route.continue_())

    lost: list[Route] = []
    await page.route("**/predict/?*", lose_first)
    await send(page, key, a=FIRST, b=SECOND, c=FIRST)
    await expect(page.locator("#progress")).to_have_text("2 of 3 images are analysed. 1 failed.")
    await expect(page.locator('.card[data-state="failed"]')).to_have_count(1)


async def test_upload_that_stands_still_is_given_up(
    lone_page: Page, key: str, ingress: FakeIngress
):
    await lone_page.clock.install()
    held: list[Route] = []
    # The whole body is sent from the browser's view, so the answer's own limit holds.
    await lone_page.route("**/predict/?*", lambda route: held.append(route))
    await send(lone_page, key, a=FIRST)
    await becomes(lambda: len(held) == 1)
    await expect(card(lone_page, "a.jpg").locator("progress")).to_be_visible()
    await lone_page.clock.fast_forward(12 * 60 * 1000)
    await expect(lone_page.get_by_role("alert")).to_contain_text("The connection is too slow")
    await expect(card(lone_page, "a.jpg")).to_have_attribute("data-state", "failed")


async def test_slow_upload_goes_on(page: Page, key: str, ingress: FakeIngress):
    devtools = await page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 50, "downloadThroughput": -1, "uploadThroughput": 60_000}
    await devtools.send("Network.emulateNetworkConditions", slow)
    await send(page, key, a=jpeg(64) + bytes(90_000), b=jpeg(65) + bytes(90_000))
    await expect(page.locator("#progress")).to_have_text(
        "2 of 2 images are analysed.", timeout=30_000
    )


async def test_service_that_is_not_reached_is_named_at_top(page: Page, ingress: FakeIngress):
    await page.route("**/readyz", lambda route: route.abort())
    await page.reload()
    await expect(page.locator("#service")).to_have_text("The service cannot be reached.")
    await page.unroute("**/readyz")
    await expect(page.locator("#service")).to_have_text("Ready: fake 7", timeout=10_000)


async def test_images_wait_in_queue_while_service_starts(
    page: Page, key: str, ingress: FakeIngress
):
    await page.route("**/predict/?*", lambda route: route.fulfill(status=503, body="{}"))
    await enter_key(page, key)
    await choose(page, a=FIRST)
    await expect(cards(page)).to_have_count(1)
    await page.get_by_role("button", name="Find lesions").click()
    await expect(page.get_by_role("alert")).to_contain_text("Wait a few seconds and try again.")
    await expect(card(page, "a.jpg")).to_be_visible()


STATIC_OVER_NETWORK = """() => performance.getEntriesByType("resource")
  .filter(({ name, transferSize }) => name.includes("/static/") && transferSize > 0)
  .map(({ name }) => name)"""


async def test_second_visit_loads_no_static_file(page: Page):
    await expect(page.locator("#unstarted")).to_have_count(0)
    await page.reload()
    await expect(page.locator("#unstarted")).to_have_count(0)
    assert await page.evaluate(STATIC_OVER_NETWORK) == []


async def test_every_module_is_preloaded(lone_page: Page):
    loaded, preloaded = await lone_page.evaluate(
        """() => [
          performance.getEntriesByType("resource").map(({ name }) => name),
          [...document.querySelectorAll("link[rel=modulepreload]")].map(({ href }) => href),
        ]"""
    )
    modules = {name for name in loaded if "/static/" in name and name.endswith(".js")}
    not_imported = {"page.js", "drop_guard.js"}
    assert len(preloaded) > 80
    assert {name for name in modules if name.rpartition("/")[2] not in not_imported} == set(
        preloaded
    )


async def test_page_without_one_of_its_modules_says_so(lone_page: Page):
    await lone_page.route("**/viewer/hit.js", lambda route: route.abort())
    await lone_page.reload()
    await expect(lone_page.locator("#unstarted")).to_be_hidden()
    await lone_page.evaluate("document.getAnimations().forEach((each) => each.finish())")
    await expect(lone_page.locator("#unstarted")).to_have_text(
        "This page is still loading. If it stays like this, load it again."
    )
