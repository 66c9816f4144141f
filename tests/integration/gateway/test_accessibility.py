"""Every page without a fault that axe-core finds: light and dark, on a phone and on a desktop."""

import re

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from playwright.async_api import Browser, Page, expect

from tests.integration.gateway.axe import fetch, violations
from tests.integration.gateway.browser import (
    answering,
    cards,
    choose,
    enter_key,
    find_lesions,
    opened,
    pane,
    send,
    sign_in,
    ungradable,
)
from tests.integration.gateway.client import Gateway, jpeg
from tests.integration.gateway.ingress import FakeIngress
from tests.integration.gateway.test_operations_page import broken, changed
from tests.integration.gateway.test_sessions import PASSWORD, person

pytestmark = pytest.mark.asyncio(loop_scope="module")

SIZES = {"phone": (390, 844), "tablet": (820, 1180), "desktop": (1440, 900)}


@pytest.fixture(scope="module")
def axe(request: pytest.FixtureRequest) -> str:
    return fetch(request.config.cache.mkdir("axe"))


# No colour is on its way from one scheme to the other. The end of one transition may begin that
# of what inherits the colour.
END_TRANSITIONS = """() => {
  for (;;) {
    const running = document.getAnimations().filter((each) => each instanceof CSSTransition);
    if (running.length === 0) return;
    running.forEach((each) => each.finish());
  }
}"""


async def faults(page: Page, axe: str, exclude: list[str] | None = None) -> list[str]:
    """Return what axe-core finds on the page as it is, in each size and scheme."""
    found: list[str] = []
    for name, (width, height) in SIZES.items():
        await page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            await page.evaluate(END_TRANSITIONS)
            seen = await violations(page, axe, exclude)
            found += [f"{name}, {scheme}: {fault}" for fault in seen]
    return found


async def test_workplace(page: Page, key: str, ingress: FakeIngress, axe):
    assert await faults(page, axe) == []
    await choose(page, a=jpeg(640, 480), b=jpeg(640, 480))
    await expect(page.get_by_role("button", name="Find lesions in 2 images")).to_be_visible()
    file = {"name": "letter.pdf", "mimeType": "", "buffer": b"%PDF-1.7"}
    await page.locator("#file").set_input_files([file])
    await expect(page.locator("#refused")).to_be_visible()
    assert await faults(page, axe) == []
    await page.get_by_role("button", name="Find lesions").click()
    assert await faults(page, axe) == []
    await page.keyboard.press("Escape")
    ingress.answer = answering(lambda sent: ungradable(sent, "too_dark"))
    await enter_key(page, key)
    await page.get_by_role("button", name="Find lesions").click()
    await expect(page.locator("#progress")).to_contain_text("2 of 2 images are analysed.")
    await expect(pane(page).locator(".view")).to_be_visible()
    assert await faults(page, axe) == []
    await adjust_and_measure(page)
    assert await faults(page, axe) == []
    await page.get_by_role("button", name="Compare").click()
    await expect(page.locator(".pane").last).to_be_visible()
    assert await faults(page, axe) == []
    await page.get_by_role("button", name="Report").click()
    assert await faults(page, axe) == []


async def adjust_and_measure(page: Page) -> None:
    await pane(page).locator(".viewer-picture").focus()
    for pressed in ("m", "Enter", "ArrowDown", "Enter", "Escape", "g", "i"):
        await page.keyboard.press(pressed)
    await expect(pane(page).locator(".viewer-lines li")).to_have_count(1)
    await expect(pane(page).get_by_role("region", name="Picture")).to_be_visible()


async def test_review(page: Page, ingress: FakeIngress, axe):
    await sync_to_async(person)()
    await sign_in(page)
    await find_lesions(page, a=jpeg(640, 480))
    await pane(page).get_by_role("button", name="Review", exact=True).click()
    await pane(page).locator(".relabel").click()
    await pane(page).get_by_role("button", name="Draw its outline").click()
    await expect(pane(page).locator(".missed-problem")).to_have_text(
        "Choose the class of the lesion first."
    )
    await pane(page).locator(".missed-class").select_option(index=1)
    await pane(page).get_by_role("button", name="Draw its outline").press("Enter")
    for key in ("Space", "ArrowRight", "Space", "ArrowDown", "Space", "Enter", "Enter"):
        await page.keyboard.press(key)
    await expect(pane(page).locator(".missed li")).to_have_count(1)
    await expect(pane(page).get_by_role("button", name="Ruler")).to_be_enabled()
    assert await faults(page, axe) == []


async def test_workplace_in_another_language(
    chromium: Browser, gateway: Gateway, key: str, ingress: FakeIngress, axe
):
    ingress.answer = answering(lambda sent: ungradable(sent, "too_dark"))
    url = f"http://127.0.0.1:{gateway.port}/"
    async with opened(chromium, url, locale="fr", viewport={"width": 390, "height": 844}) as page:
        await page.locator("#key-details summary").click()
        await page.locator("#key").fill(key.removeprefix("X-API-Key: "))
        await choose(page, a=jpeg(640, 480))
        await expect(cards(page)).to_have_count(1)
        await page.locator("#submit").click()
        await expect(pane(page).locator(".view")).to_be_visible()
        assert await faults(page, axe) == []
        await page.locator(".languages button").first.click()
        assert await faults(page, axe) == []


async def test_refusals(page: Page, ingress: FakeIngress, axe):
    await send(page, "wrong", a=jpeg(640, 480))
    await expect(page.get_by_role("alert")).to_contain_text("Check that all of the key was copied")
    assert await faults(page, axe) == []


async def test_locked_page(page: Page, ingress: FakeIngress, axe):
    await sync_to_async(person)()
    await sign_in(page)
    await find_lesions(page, a=jpeg())
    await expect(pane(page).locator(".count")).to_be_visible()
    await Session.objects.all().adelete()
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(page.locator("#locked")).to_be_visible()
    assert await faults(page, axe) == []
    await page.get_by_role("button", name="Remove the images").click()
    assert await faults(page, axe) == []


@pytest.mark.parametrize("path", ["login/", "nowhere"])
async def test_page_for_anybody(page: Page, ingress: FakeIngress, axe, path: str):
    await page.goto(page.url + path)
    assert await faults(page, axe) == []


def root() -> None:
    User.objects.create_superuser("root", password=PASSWORD)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "signed-in/",
        "account/",
        "operations",
        "admin/",
        "admin/usage/record/",
        "admin/usage/tally/",
        "admin/keys/apikey/",
    ],
)
async def test_page_of_administrator(page: Page, ingress: FakeIngress, axe, path: str):
    await sync_to_async(broken)()
    await sync_to_async(changed)()
    await sync_to_async(root)()
    origin = page.url
    await sign_in(page, "root")
    await page.wait_for_url(re.compile("/operations"))
    await page.goto(origin + path)
    assert await faults(page, axe) == []


async def test_description_of_api(page: Page, ingress: FakeIngress, axe):
    """Swagger UI's own markup is another project's; what is around it is ours."""
    await page.goto(f"{page.url}docs")
    await expect(page.locator(".swagger-ui .info").first).to_be_visible()
    assert await faults(page, axe, exclude=[".swagger-ui"]) == []
