"""The clinician's page when sessions end or change, and for people who may not use it."""

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from playwright.async_api import Page, expect

from gateway.audit.models import Record
from tests.integration.gateway.browser import (
    Gate,
    becomes,
    card,
    cards,
    choose,
    find_lesions,
    give_password,
    open_start_page,
    pane,
    send,
    sign_in,
)
from tests.integration.gateway.client import jpeg
from tests.integration.gateway.ingress import FakeIngress
from tests.integration.gateway.test_sessions import person

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def result_of_nurse(page: Page) -> None:
    """Have an image analysed, after which the page waits for nothing more of its session."""
    await sync_to_async(person)()
    await sign_in(page)
    async with page.expect_response("**/records/feedback?**"):  # for earlier reviews of the image
        await find_lesions(page, scan=jpeg())
    await expect(page.get_by_role("heading", name="1 lesion found")).to_be_visible()


async def other_tab(page: Page) -> Page:
    tab = await page.context.new_page()
    await tab.goto(page.url)
    return tab


async def assert_removed(page: Page, words: str) -> None:
    await expect(page.locator("#notice")).to_contain_text(words)
    await expect(page.locator("#notice")).to_be_focused()
    await expect(cards(page)).to_have_count(0)
    await expect(page.locator("#workplace")).to_have_count(0)
    await expect(page.locator("#locked")).to_be_hidden()
    assert not await page.get_by_text("Signed in as").is_visible()


async def assert_locked(page: Page, user: str = "nurse") -> None:
    """Hold the page to showing nothing of a patient, and to asking for the same person."""
    await expect(page.get_by_role("heading", name="Your session has ended")).to_be_focused()
    await expect(page.locator("#locked")).to_contain_text(f"Sign in again as {user}")
    await expect(cards(page)).to_have_count(0)
    await expect(page.locator("#workplace")).to_have_count(0)
    await expect(page.locator("canvas, img[src^=blob]")).to_have_count(0)
    await expect(page.locator("body")).not_to_contain_text("scan.jpg")


async def end_session(page: Page) -> None:
    await Session.objects.all().adelete()
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


async def sign_in_again(page: Page, name: str = "nurse") -> Page:
    """Sign in in the tab that the locked page opens, and return it."""
    async with page.context.expect_page() as opened:
        await page.get_by_role("link", name="Sign in again").click()
    tab = await opened.value
    await give_password(tab, name)
    return tab


async def test_expired_session_locks_page_until_same_person_signs_in(
    page: Page, ingress: FakeIngress
):
    await result_of_nurse(page)
    await end_session(page)
    await assert_locked(page)
    await sign_in_again(page)
    await expect(page.get_by_role("heading", name="1 lesion found")).to_be_visible()
    await expect(page.locator("#locked")).to_be_hidden()
    await expect(pane(page).locator(".name")).to_have_text("scan.jpg")
    await find_lesions(page, other=jpeg())
    await expect(card(page, "other.jpg")).to_have_attribute("data-state", "done")
    assert await Record.objects.acount() == 2


async def test_tab_of_sign_in_closes_itself(page: Page, ingress: FakeIngress):
    await result_of_nurse(page)
    await end_session(page)
    tab = await sign_in_again(page)
    await becomes(tab.is_closed)


async def test_image_that_met_expired_session_is_sent_after_sign_in(
    page: Page, ingress: FakeIngress
):
    await sync_to_async(person)()
    await sign_in(page)
    await expect(page.get_by_text("Signed in as nurse")).to_be_visible()
    await Session.objects.all().adelete()
    await find_lesions(page, scan=jpeg(), second=jpeg(61), third=jpeg(62))
    await assert_locked(page)
    assert ingress.sent == []
    await sign_in_again(page)
    await expect(page.locator("#progress")).to_have_text("3 of 3 images are analysed.")
    assert len(ingress.sent) == 3


async def test_session_that_ends_during_request_locks_page(page: Page, ingress: FakeIngress):
    await sync_to_async(person)()
    await sign_in(page)
    await expect(page.get_by_role("button", name="Find lesions")).to_be_enabled()
    problem_of_401 = '{"title": "Unauthorized", "detail": "", "status": 401, "request_id": "1"}'
    await page.route("**/predict/?*", lambda it: it.fulfill(status=401, body=problem_of_401))
    await find_lesions(page)
    await assert_locked(page)


async def test_answer_that_comes_while_page_is_locked_is_kept(page: Page, ingress: FakeIngress):
    await sync_to_async(person)()
    await sign_in(page)
    ingress.answer = gate = Gate(1)
    await find_lesions(page, scan=jpeg())
    await becomes(lambda: len(ingress.sent) == 1)
    await end_session(page)
    await assert_locked(page)
    async with page.expect_response("**/predict/?*"):
        gate.open()
    await assert_locked(page)
    await sign_in_again(page)
    await expect(page.get_by_role("heading", name="1 lesion found")).to_be_visible()


async def test_other_person_gets_nothing_of_locked_page(page: Page, ingress: FakeIngress):
    await result_of_nurse(page)
    await sync_to_async(person)("doctor")
    await end_session(page)
    await assert_locked(page)
    await sign_in_again(page, "doctor")
    await assert_removed(page, "Somebody else signed in or out")


async def test_locked_page_can_be_cleared(page: Page, ingress: FakeIngress):
    await result_of_nurse(page)
    await end_session(page)
    await assert_locked(page)
    await page.get_by_role("button", name="Remove the images").click()
    await assert_removed(page, "Your session has ended; the images and results were removed.")
    await sign_in(await other_tab(page))
    await assert_removed(page, "removed")


async def test_locked_page_removes_images_after_half_an_hour(lone_page: Page, ingress: FakeIngress):
    await lone_page.clock.install()
    await result_of_nurse(lone_page)
    await end_session(lone_page)
    await assert_locked(lone_page)
    await lone_page.clock.fast_forward(29 * 60 * 1000)
    await assert_locked(lone_page)
    await lone_page.clock.fast_forward(61 * 1000)
    await assert_removed(lone_page, "Your session has ended; the images and results were removed.")


async def test_page_that_slept_while_locked_comes_back_without_images(
    lone_page: Page, ingress: FakeIngress
):
    """A timer may stand still while the computer sleeps."""
    await lone_page.clock.install()
    await result_of_nurse(lone_page)
    await end_session(lone_page)
    await assert_locked(lone_page)
    later = await lone_page.evaluate("Date.now()") / 1000 + 31 * 60
    await lone_page.clock.set_system_time(later)
    await sign_in_again(lone_page)
    await assert_removed(lone_page, "Your session has ended; the images and results were removed.")


async def test_unreachable_service_does_not_end_session(page: Page, ingress: FakeIngress):
    await result_of_nurse(page)
    await page.route("**/session/", lambda route: route.fulfill(status=503, body="{}"))
    async with page.expect_response("**/session/"):
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await find_lesions(page, other=jpeg())
    await expect(page.get_by_role("alert")).to_contain_text("No answer came back")
    await expect(card(page, "scan.jpg")).to_have_attribute("data-state", "done")
    assert len(ingress.sent) == 1


async def test_sign_out_in_another_tab_removes_results(page: Page, ingress: FakeIngress):
    await result_of_nurse(page)
    tab = await other_tab(page)
    await expect(cards(page)).to_have_count(1)
    await tab.get_by_role("button", name="Sign out").click()
    await assert_removed(page, "Your session has ended")


async def test_other_person_in_another_tab_removes_results(page: Page, ingress: FakeIngress):
    await result_of_nurse(page)
    await sync_to_async(person)("auditor", "auditor")
    tab = await other_tab(page)
    await tab.get_by_role("button", name="Sign out").click()
    await sign_in(tab, "auditor")
    await open_start_page(tab)
    await expect(tab.get_by_text("Signed in as auditor")).to_be_visible()
    await assert_removed(page, "removed")


async def test_image_is_not_sent_for_another_person(lone_page: Page, ingress: FakeIngress):
    """The other person signed in without a page that tells this one."""
    await result_of_nurse(lone_page)
    await sync_to_async(person)("doctor")
    await lone_page.context.clear_cookies()
    tab = await lone_page.context.new_page()
    await tab.add_init_script("BroadcastChannel.prototype.postMessage = () => {}")
    await tab.goto(lone_page.url + "login/")
    await give_password(tab, "doctor")
    await expect(tab.get_by_text("Signed in as doctor")).to_be_visible()
    await find_lesions(lone_page, other=jpeg())
    await assert_removed(lone_page, "Somebody else signed in or out")
    assert len(ingress.sent) == 1


async def test_key_and_session_do_not_share_results(page: Page, key: str, ingress: FakeIngress):
    await send(page, key)
    await expect(page.get_by_role("heading", name="1 lesion found")).to_be_visible()
    await sync_to_async(person)()
    tab = await other_tab(page)
    await sign_in(tab)
    await assert_removed(page, "Somebody else signed in or out")


async def test_tabs_of_same_person_keep_their_images(page: Page, ingress: FakeIngress):
    await result_of_nurse(page)
    tab = await other_tab(page)
    await choose(tab, other=jpeg())
    await expect(card(tab, "other.jpg")).to_be_visible()
    await expect(card(page, "scan.jpg")).to_be_visible()
    await expect(cards(page)).to_have_count(1)
    await expect(page.get_by_role("heading", name="1 lesion found")).to_be_visible()


async def test_sign_out_works_with_older_csrf_token(page: Page, ingress: FakeIngress):
    """Signing in again in another tab renews the token that guards the form."""
    await result_of_nurse(page)
    await page.evaluate("document.getElementById('sign-out').csrfmiddlewaretoken.value = 'old'")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    assert not await Session.objects.aexists()


async def test_back_button_after_sign_out_shows_no_results(page: Page, ingress: FakeIngress):
    await result_of_nurse(page)
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    await expect(cards(page)).to_have_count(0)
    await expect(page.get_by_text("Signed in as")).to_have_count(0)


async def test_revoked_right_is_explained(page: Page, ingress: FakeIngress):
    await sync_to_async(person)()
    await sign_in(page)
    await expect(page.get_by_role("button", name="Find lesions")).to_be_enabled()
    await sync_to_async(lambda: User.objects.get(username="nurse").groups.clear())()
    await find_lesions(page)
    await expect(page.get_by_role("alert")).to_contain_text("This needs the scope 'predict'")


@pytest.mark.parametrize(
    ("role", "links"),
    [
        ("auditor", ["Usage charts", "Audit records of requests", "Audit events", "API keys"]),
        ("operator", ["Operations", "Usage charts", "API keys", "Organisations"]),
    ],
)
async def test_person_without_predict_right_sees_other_views(
    page: Page, role: str, links: list[str]
):
    await sync_to_async(person)(role, role)
    await sign_in(page, role)
    await open_start_page(page)
    title = page.get_by_role("heading", name="Your account cannot analyse images")
    await expect(title).to_be_visible()
    await expect(page.get_by_text(f"Its role is {role}")).to_be_visible()
    await expect(page.locator("form")).to_have_count(2)  # to sign out, and the language
    assert await page.locator("main li").all_inner_texts() == links
    for url in await page.locator("main li a").evaluate_all("links => links.map(it => it.href)"):
        response = await page.goto(url)
        assert response.status == 200
