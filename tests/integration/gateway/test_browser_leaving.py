"""What is only on the clinician's page is not lost without a question: images and reviews."""

from collections.abc import Callable

import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session
from playwright.async_api import Page, expect

from gateway.audit.models import Record
from gateway.reviews.models import Version
from tests.integration.gateway.browser import (
    Gate,
    becomes,
    card,
    cards,
    choose,
    find_lesions,
    give_password,
    pane,
    sign_in,
)
from tests.integration.gateway.client import jpeg
from tests.integration.gateway.ingress import FakeIngress
from tests.integration.gateway.test_sessions import person

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNSAVED = "1 review is not saved."


async def sign_in_in_new_tab(page: Page, click: Callable, name: str = "nurse") -> Page:
    async with page.context.expect_page() as opened:
        await click()
    tab = await opened.value
    await give_password(tab, name)
    return tab


async def review_lesion(page: Page) -> None:
    """Sign a clinician in, have an image analysed, and say something that is not saved."""
    await sync_to_async(person)()
    await sign_in(page)
    await find_lesions(page, scan=jpeg())
    await expect(pane(page).locator(".view")).to_be_visible()
    await pane(page).locator(".review-toggle").click()
    await pane(page).get_by_role("group", name="Lesion 1,").get_by_text("Reject").click()
    await expect(pane(page).locator(".saved")).to_have_text("Not saved yet.")


async def test_images_of_visitor_are_sent_once_somebody_signed_in(page: Page, ingress: FakeIngress):
    await sync_to_async(person)()
    await choose(page, a=jpeg(61), b=jpeg(62))
    await page.get_by_role("button", name="Find lesions in 2 images").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Your 2 images stay in this tab")
    tab = await sign_in_in_new_tab(page, dialog.get_by_role("link", name="Sign in").click)
    await expect(page.locator("#progress")).to_have_text("2 of 2 images are analysed.")
    await expect(page.get_by_text("Signed in as nurse of a clinic")).to_be_visible()
    await expect(page.get_by_role("link", name="Sign in")).to_have_count(0)
    await page.get_by_role("button", name="Report").click()
    await expect(page.get_by_label("Clinic", exact=True)).to_have_value("a clinic")
    await expect(page.get_by_label("Examiner")).to_have_value("nurse")
    await page.get_by_role("button", name="Close").click()
    await becomes(tab.is_closed)
    assert {record.user async for record in Record.objects.all()} == {"nurse"}
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("link", name="Sign in")).to_be_visible()


async def test_images_of_visitor_stay_while_somebody_signs_in(page: Page, ingress: FakeIngress):
    await sync_to_async(person)()
    await choose(page, a=jpeg(61))
    await expect(cards(page)).to_have_count(1)
    await sign_in_in_new_tab(page, page.get_by_role("link", name="Sign in").click)
    await expect(page.get_by_text("Signed in as nurse")).to_be_visible()
    await expect(card(page, "a.jpg")).to_have_attribute("data-state", "waiting")
    assert ingress.sent == []
    await Session.objects.all().adelete()
    await page.get_by_role("button", name="Find lesions in 1 image").click()
    await expect(page.locator("#locked")).to_contain_text("Sign in again as nurse")


async def test_page_of_person_who_may_not_predict_keeps_no_images(page: Page, ingress: FakeIngress):
    await sync_to_async(person)("auditor", "auditor")
    await choose(page, a=jpeg(61))
    await expect(cards(page)).to_have_count(1)
    await sign_in_in_new_tab(page, page.get_by_role("link", name="Sign in").click, "auditor")
    title = page.get_by_role("heading", name="Your account cannot analyse images")
    await expect(title).to_be_visible()


async def test_visitor_may_enter_key_instead(page: Page, key: str, ingress: FakeIngress):
    await choose(page, a=jpeg(61))
    await expect(cards(page)).to_have_count(1)
    await page.get_by_role("button", name="Find lesions").click()
    await page.get_by_role("button", name="Use an API key").click()
    await expect(page.get_by_label("API key")).to_be_focused()
    await page.keyboard.type(key.removeprefix("X-API-Key: "))
    await page.keyboard.press("Enter")
    await expect(card(page, "a.jpg")).to_have_attribute("data-state", "done")


async def test_unsaved_review_is_named_before_it_is_lost(page: Page, ingress: FakeIngress):
    await review_lesion(page)
    dialog = page.get_by_role("dialog")
    for loses, keeps in (
        ("Remove scan.jpg", "Keep it"),
        ("New examination", "Keep them"),
        ("Sign out", "Stay signed in"),
    ):
        await page.get_by_role("button", name=loses).click()
        await expect(dialog).to_contain_text(UNSAVED)
        await dialog.get_by_role("button", name=keeps).click()
        await expect(card(page, "scan.jpg")).to_be_visible()
    await page.get_by_role("link", name="lesionserve").click()
    await expect(dialog).to_contain_text(UNSAVED)
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Remove scan.jpg").click()
    await dialog.get_by_role("button", name="Remove it").click()
    await expect(cards(page)).to_have_count(0)


async def test_open_outline_is_named_before_it_is_lost(page: Page, ingress: FakeIngress):
    await review_lesion(page)
    lesion = pane(page).get_by_role("group", name="Lesion 1,")
    await lesion.get_by_text("Accept").click()
    await pane(page).get_by_role("button", name="Save review").click()
    await expect(pane(page).locator(".saved")).to_have_text("Saved as version 1.")
    await pane(page).locator(".missed-class").select_option(index=1)
    await pane(page).get_by_role("button", name="Draw its outline").click()
    dialog = page.get_by_role("dialog")
    await page.get_by_role("button", name="Remove scan.jpg").click()
    await expect(dialog).to_contain_text(UNSAVED)
    await dialog.get_by_role("button", name="Keep it").click()
    await pane(page).locator('[data-edit="cancel"]').click()
    await page.get_by_role("button", name="Remove scan.jpg").click()
    await expect(cards(page)).to_have_count(0)


async def test_sign_out_goes_on_where_person_agrees(page: Page, ingress: FakeIngress):
    await review_lesion(page)
    asked: list[str] = []
    page.on("dialog", lambda dialog: asked.append(dialog.type))
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_role("button", name="Sign out all the same").click()
    await expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    assert asked == [], "the browser does not ask once more"


async def test_browser_asks_before_images_are_lost(page: Page, key: str, ingress: FakeIngress):
    asked: list[str] = []

    async def stay(dialog) -> None:
        asked.append(dialog.type)
        await dialog.dismiss()

    page.on("dialog", stay)
    await page.locator("#empty").click(trial=True)
    await choose(page, a=jpeg(61))
    await page.get_by_text("Images (1)").click()  # a browser asks whoever has done something
    await page.evaluate("location.reload()")
    await becomes(lambda: asked == ["beforeunload"])
    await expect(card(page, "a.jpg")).to_be_visible()
    await page.get_by_role("button", name="Remove a.jpg").click()
    await page.reload()
    assert asked == ["beforeunload"], "nothing is lost any more"


async def test_account_opens_in_new_tab(page: Page, ingress: FakeIngress):
    await review_lesion(page)
    async with page.context.expect_page() as opened:
        await page.get_by_role("link", name="Your account").click()
    await expect((await opened.value).get_by_role("heading", name="Your account")).to_be_visible()
    await expect(card(page, "scan.jpg")).to_be_visible()


async def test_review_that_met_end_of_session_is_sent_once_after_sign_in(
    page: Page, ingress: FakeIngress
):
    await review_lesion(page)
    await Session.objects.all().adelete()
    await pane(page).get_by_role("button", name="Save review").click()
    await expect(page.locator("#locked")).to_contain_text(UNSAVED)
    assert not await Version.objects.aexists()
    await sign_in_in_new_tab(page, page.get_by_role("link", name="Sign in again").click)
    await expect(page.locator("#save-notice")).to_contain_text("Your review is saved.")
    await expect(pane(page).locator(".saved")).to_have_text("Saved as version 1.")
    assert await Version.objects.acount() == 1
    await page.locator("#save-notice").get_by_role("button", name="Close").click()
    await expect(page.locator("#save-notice")).to_be_hidden()


async def test_unsaved_review_is_named_after_sign_in(page: Page, ingress: FakeIngress):
    await review_lesion(page)
    await Session.objects.all().adelete()
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await sign_in_in_new_tab(page, page.get_by_role("link", name="Sign in again").click)
    await expect(page.locator("#save-notice")).to_contain_text(UNSAVED)
    assert not await Version.objects.aexists()


async def test_results_of_key_are_named_before_sign_in(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = gate = Gate(1)
    await page.locator("summary").get_by_text("Use an API key").click()
    await page.get_by_label("API key").fill(key.removeprefix("X-API-Key: "))
    await find_lesions(page, scan=jpeg())
    await expect(card(page, "scan.jpg")).to_have_attribute("data-state", "analysing")
    await page.get_by_role("link", name="Sign in").click()
    await expect(page.get_by_role("dialog")).to_contain_text("The image, its result")
    await page.get_by_role("button", name="Keep them").click()
    gate.open()
    await expect(card(page, "scan.jpg")).to_have_attribute("data-state", "done")
