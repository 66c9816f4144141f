"""The operations page as an operator meets it: by its roles, in its states, on its screens."""

import json
import re
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone
from playwright.async_api import Page, expect

from gateway.audit.models import AuditCheck
from gateway.monitor.models import Alert, ProbeRun, WatchAlarm, WatchState
from tests.clinics import organisation_named
from tests.integration.gateway.browser import becomes, sign_in
from tests.integration.gateway.ingress import FakeIngress, Sent
from tests.integration.gateway.test_sessions import PASSWORD, person

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAILED, AGREED = ProbeRun.Result.FAILED, ProbeRun.Result.AGREED


def probe(result: ProbeRun.Result, minutes_ago: int) -> None:
    ProbeRun.objects.create(
        at=timezone.now() - timedelta(minutes=minutes_ago),
        result=result,
        seconds=0.125,
        error_code="" if result == AGREED else "overloaded",
    )


def healthy() -> None:
    for minutes_ago in range(30, 0, -1):
        probe(AGREED, minutes_ago)
    AuditCheck.objects.create(intact=True, faults=0, rows=120)


def broken() -> None:
    healthy()
    for _ in range(3):
        probe(FAILED, 0)
    Alert.objects.create(
        fingerprint="0123456789abcdef",
        name="LesionserveProbeFailing",
        severity="page",
        summary="Three probes in a row failed.",
        started=timezone.now() - timedelta(minutes=4),
    )


def changed() -> WatchAlarm:
    """The watch of the person's organisation has found something, and that of another one too."""
    healthy()
    now, digest = timezone.now(), "d" * 64
    for clinic in (organisation_named("a clinic"), organisation_named("elsewhere")):
        WatchState.objects.create(
            organisation=clinic, bundle_sha256=digest, alpha=0.05, until=now, base_until=now,
            state={"examinations": 340, "groups": {"quality": {}}},
        )  # fmt: skip
        alarm = WatchAlarm.objects.create(
            organisation=clinic, bundle_sha256=digest, group="quality", reference="validation",
            at=now, since=now - timedelta(hours=5), evidence=400.0, threshold=311.0,
            statistic="luma_mean", is_higher=False, usual=[0.4, 0.5, 0.6], now=0.31,
            examples=[f"example-{clinic.name}"],
        )  # fmt: skip
    return alarm


def not_ready(sent: Sent) -> tuple[int, bytes]:
    if sent.path == "/readyz":
        return 503, json.dumps({"title": "Unavailable", "status": 503}).encode()
    return FakeIngress().respond(sent)


async def shows_after_refresh(page: Page, text: str) -> None:
    """Refresh the page until it says the text.

    The gateway asks the ingress at most once a second, and an earlier test may just have.
    """

    async def shows() -> bool:
        async with page.expect_response(re.compile("/operations$")):
            await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        return text in await page.locator("#state").inner_text()

    await becomes(shows)


async def open_operations(page: Page, name: str = "olga", role: str = "operator") -> None:
    await sync_to_async(person)(name, role)
    origin = page.url.rstrip("/")
    await page.goto(f"{origin}/operations")
    await page.get_by_label("User name").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"{origin}/operations")


async def test_operator_signs_in_and_sees_that_everything_works(page: Page, ingress: FakeIngress):
    await sync_to_async(healthy)()
    await open_operations(page)
    await shows_after_refresh(page, "Everything works")
    await expect(page.get_by_role("heading", name="Everything works")).to_be_visible()
    await expect(page.get_by_text("A loaded model answers.")).to_be_visible()
    await expect(page.locator(".strip li")).to_have_count(30)
    await expect(page.get_by_text("Intact when it was last verified.")).to_be_visible()
    # Nobody has connected a Prometheus here, and the page says so instead of guessing.
    await expect(page.get_by_text("LESIONSERVE_PROMETHEUS_URL")).to_be_visible()


async def test_numbers_of_charts_stay_numbers_in_other_languages(page: Page, ingress: FakeIngress):
    await sync_to_async(changed)()
    await page.context.set_extra_http_headers({"Accept-Language": "es"})
    await sync_to_async(person)("olga", "operator")
    await page.goto(f"{page.url}login/?next=/operations")
    await page.get_by_label("Nombre de usuario").fill("olga")
    await page.get_by_label("Contraseña").fill(PASSWORD)
    await page.get_by_label("Contraseña").press("Enter")
    await expect(page.locator("svg rect.usual")).to_have_count(1)
    await expect(page.locator("svg rect.usual")).to_have_attribute("x", re.compile(r"^\d+\.\d$"))
    await expect(page.locator("html")).to_have_attribute("lang", "en")


async def test_page_says_what_is_wrong_and_since_when(page: Page, ingress: FakeIngress):
    await sync_to_async(broken)()
    ingress.answer = not_ready
    await open_operations(page)
    state = page.locator("#state")
    await expect(state).to_contain_text("Images are not answered as they should be")
    await shows_after_refresh(page, "The inference service is not ready.")
    await expect(state).to_contain_text("The last 3 failed: overloaded.")
    await expect(state).to_contain_text("4 minutes")
    await expect(page.locator(".alerts")).to_contain_text(
        "docs/runbooks.md#lesionserveprobefailing"
    )


async def test_page_says_what_the_watch_has_found_until_it_is_acknowledged(
    page: Page, ingress: FakeIngress
):
    await sync_to_async(changed)()
    await open_operations(page)
    verdict = page.locator(".verdict")
    await expect(verdict).to_have_count(1)
    await expect(verdict).to_contain_text(
        "Images are darker than the images that the model was validated on"
    )
    await expect(verdict).to_contain_text("example-a clinic")
    await shows_after_refresh(page, "Something has changed: image quality.")
    await expect(page.get_by_text("340 examinations")).to_be_visible()
    await page.get_by_role("button", name="Acknowledge").click()
    await expect(verdict).to_have_count(0)
    await shows_after_refresh(page, "Everything works")
    await expect(page.get_by_role("heading", name="Everything works")).to_be_visible()
    seen = await WatchAlarm.objects.aget(organisation__name="a clinic")
    assert seen.acknowledged_by == "user:olga"


async def test_alarm_of_another_organisation_cannot_be_acknowledged(
    page: Page, ingress: FakeIngress
):
    alarm = await sync_to_async(changed)()
    await open_operations(page)
    path = f"/operations/watch/{alarm.pk}/acknowledge"
    status = await page.evaluate(
        """async (path) => {
          const form = document.querySelector(".verdict form");
          const answer = await fetch(path, {method: "POST", body: new FormData(form)});
          return answer.status;
        }""",
        path,
    )
    assert status == 404
    await alarm.arefresh_from_db()
    assert alarm.acknowledged_at is None


async def test_page_shows_change_without_reload(page: Page, ingress: FakeIngress):
    await sync_to_async(healthy)()
    await open_operations(page)
    await sync_to_async(broken)()
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(page.locator("#state")).to_contain_text("not answered as they should be")
    assert (
        await page.title() == "Images are not answered as they should be · lesionserve operations"
    )


@pytest.mark.parametrize("role", ["clinician", "auditor"])
async def test_page_is_refused_to_other_roles(page: Page, ingress: FakeIngress, role: str):
    await open_operations(page, "nina", role)
    await expect(page.locator("body")).to_contain_text("This page needs the role operator or admin")
    await expect(page.locator("#state")).to_have_count(0)


async def test_operator_lands_on_page_and_finds_it_from_first_page(
    page: Page, ingress: FakeIngress
):
    await sync_to_async(person)("olga", "operator")
    await sign_in(page, "olga")
    await expect(page.locator("#state")).to_be_visible()
    await page.get_by_role("link", name="Images").click()
    await page.get_by_role("link", name="Operations").click()
    await expect(page.locator("#state")).to_be_visible()


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_is_cut_off(page: Page, ingress: FakeIngress, width: int, scheme: str):
    await sync_to_async(broken)()
    await sync_to_async(changed)()
    await page.emulate_media(color_scheme=scheme)
    await page.set_viewport_size({"width": width, "height": 800})
    await open_operations(page)
    await expect(page.locator("#state")).to_be_visible()
    too_wide = await page.evaluate(
        """() => [...document.querySelectorAll("body *")]
          .filter((it) => it.getClientRects().length && !it.closest("svg, .visually-hidden, .skip"))
          .filter((it) => it.getBoundingClientRect().right > innerWidth + 1)
          .map((it) => it.tagName + "." + it.className)"""
    )
    assert too_wide == []


async def test_page_works_with_keyboard_only(page: Page, ingress: FakeIngress):
    await sync_to_async(healthy)()
    await open_operations(page)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the state of the service")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#state")).to_be_focused()
