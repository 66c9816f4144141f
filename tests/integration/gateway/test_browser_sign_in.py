"""Signing in with Chromium: passkeys of a virtual authenticator, a provider on another site."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pyotp
import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from playwright.async_api import Browser, CDPSession, Page, expect

from gateway.audit.models import Event
from gateway.role_names import ROLE_NAMES
from gateway.signin.models import Passkey, Profile
from tests.clinics import organisation_named
from tests.integration.gateway.client import Gateway
from tests.integration.gateway.openid import running_provider, set_person, settings_for
from tests.integration.gateway.test_sessions import PASSWORD, person
from tests.signin import app_of, next_code

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENGLISH = {"locale": "en-US"}
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest_asyncio.fixture(loop_scope="module")
async def tab(chromium: Browser, gateway: Gateway, settings) -> AsyncIterator[Page]:
    """A page at `localhost`, since no passkey is for an IP address. No script of it may fail."""
    settings.SECOND_FACTOR = True
    context = await chromium.new_context(
        base_url=f"http://localhost:{gateway.port}", locale="en-US"
    )
    complaints: list[str] = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on(
        "console",
        lambda line: complaints.append(line.text) if "Content Security" in line.text else None,
    )
    yield await context.new_page()
    await context.close()
    assert complaints == []


async def add_authenticator(tab: Page, **changes: Any) -> CDPSession:
    """Give the tab a virtual authenticator. Return the connection that controls it."""
    devtools = await tab.context.new_cdp_session(tab)
    await devtools.send("WebAuthn.enable")
    options = {**AUTHENTICATOR, **changes}
    await devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return devtools


async def give_password(tab: Page, name: str = "nurse") -> None:
    await tab.goto("/login/")
    await tab.get_by_label("User name").fill(name)
    await tab.get_by_label("Password").fill(PASSWORD)
    await tab.get_by_role("button", name="Sign in", exact=True).click()


async def add_passkey(tab: Page, name: str = "my laptop") -> None:
    await tab.goto("/account/passkey/")
    await tab.get_by_label("A name for it").fill(name)
    await tab.get_by_role("button", name="Add").click()
    await expect(tab.get_by_role("heading", name="Your recovery codes")).to_be_visible()


async def sign_out(tab: Page) -> None:
    await tab.goto("/account/")
    await tab.get_by_role("button", name="Sign out").click()
    await expect(tab.get_by_role("link", name="sign in")).to_be_visible()


async def actions() -> list[str]:
    return [event.action async for event in Event.objects.order_by("pk")]


async def test_passkey_is_added_and_signs_in_without_password(tab: Page):
    await sync_to_async(person)()
    await add_authenticator(tab)
    await give_password(tab)
    await expect(tab.get_by_text("Signed in as nurse")).to_be_visible()
    await add_passkey(tab)
    await expect(tab.get_by_role("listitem")).to_have_count(10)
    await tab.get_by_role("link", name="I have kept them").click()
    await expect(tab.get_by_text("my laptop")).to_be_visible()
    await sign_out(tab)
    await tab.goto("/login/?next=/docs")
    await tab.get_by_role("button", name="Sign in with a passkey").click()
    await tab.wait_for_url(re.compile(r":[0-9]+/docs$"))
    assert (await actions())[-2:] == ["second_factor.used", "session.began"]


async def test_passkey_is_second_factor_after_password(tab: Page):
    await sync_to_async(person)()
    await add_authenticator(tab)
    await give_password(tab)
    await add_passkey(tab)
    await sign_out(tab)
    await give_password(tab)
    await expect(tab.get_by_role("heading", name="One more step, nurse")).to_be_visible()
    await tab.get_by_role("button", name="Use a passkey").click()
    await expect(tab.get_by_text("Signed in as nurse")).to_be_visible()


async def test_passkey_of_another_person_is_no_second_factor(tab: Page):
    await sync_to_async(person)()
    doctor = await sync_to_async(person)("doctor")
    await sync_to_async(app_of)(doctor)
    await add_authenticator(tab)
    await give_password(tab)
    await add_passkey(tab)
    await sign_out(tab)
    await give_password(tab, "doctor")
    await expect(tab.get_by_role("button", name="Use a passkey")).to_have_count(0)
    # As by a script of one's own, with the page's form.
    await Passkey.objects.all().aupdate(user=doctor)
    await tab.reload()
    await Passkey.objects.all().aupdate(user=await User.objects.aget(username="nurse"))
    await tab.get_by_role("button", name="Use a passkey").click()
    await expect(tab.get_by_role("alert").first).to_be_visible()
    assert (await tab.request.get("/session/")).ok
    assert (await (await tab.request.get("/session/")).json())["user"] is None


async def test_copied_passkey_is_refused(tab: Page):
    await sync_to_async(person)()
    await add_authenticator(tab)
    await give_password(tab)
    await add_passkey(tab)
    await sign_out(tab)
    await Passkey.objects.all().aupdate(sign_count=1000)  # the original signed more often
    await tab.goto("/login/")
    await tab.get_by_role("button", name="Sign in with a passkey").click()
    await expect(tab.get_by_role("alert").first).to_contain_text("not known here")
    assert (await actions())[-1] == "session.refused"


async def test_authenticator_that_does_not_verify_its_person_is_refused(tab: Page):
    await sync_to_async(person)()
    await add_authenticator(tab, isUserVerified=False)
    await give_password(tab)
    await tab.goto("/account/passkey/")
    await tab.get_by_label("A name for it").fill("my laptop")
    await tab.get_by_role("button", name="Add").click()
    await expect(tab.get_by_role("alert")).to_contain_text("No passkey was used")
    assert not await Passkey.objects.aexists()


async def test_absent_passkey_leaves_password(tab: Page):
    await sync_to_async(person)()
    await add_authenticator(tab)
    await tab.goto("/login/")
    await tab.get_by_role("button", name="Sign in with a passkey").click()
    await expect(tab.get_by_role("alert")).to_contain_text("No passkey was used")
    await tab.get_by_label("User name").fill("nurse")
    await tab.get_by_label("Password").fill(PASSWORD)
    await tab.get_by_label("Password").press("Enter")
    await expect(tab.get_by_text("Signed in as nurse")).to_be_visible()


async def test_required_app_is_added_by_keyboard_alone(tab: Page, settings):
    settings.REQUIRE_SECOND_FACTOR = frozenset(ROLE_NAMES)
    await sync_to_async(person)()
    await give_password(tab)
    await tab.get_by_role("link", name="Add an authenticator app").press("Enter")
    await expect(tab.get_by_role("img", name="QR code")).to_be_visible()
    assert await tab.get_by_role("img").evaluate("image => image.naturalWidth") > 100
    secret = (await tab.locator("#secret").inner_text()).replace(" ", "")
    await expect(tab.get_by_label("Type the code")).to_be_focused()
    await tab.keyboard.type(pyotp.TOTP(secret).now())
    await tab.keyboard.press("Enter")
    await tab.get_by_role("link", name="I have kept them").press("Enter")
    await expect(tab.get_by_text("Signed in as nurse")).to_be_visible()


async def test_code_of_app_completes_sign_in(tab: Page):
    user = await sync_to_async(person)()
    secret = await sync_to_async(app_of)(user)
    await give_password(tab)
    await expect(tab.get_by_label("Code of your authenticator app")).to_be_focused()
    await tab.keyboard.type(next_code(secret))
    await tab.keyboard.press("Enter")
    await expect(tab.get_by_text("Signed in as nurse")).to_be_visible()


async def test_provider_of_another_site_signs_in_with_strict_cookies(tab: Page, settings):
    with running_provider() as issuer:
        issuer = issuer.replace("localhost", "127.0.0.1")  # another site than `localhost`
        settings.OPENID = settings_for(issuer)
        await sync_to_async(organisation_named)("a clinic")
        set_person(issuer, "jane", preferred_username="jane", groups="gynaecology")
        await tab.goto("/login/?next=/account/")
        await tab.get_by_role("link", name="Continue with St. Mary").click()
        await tab.locator("input[name=sub]").fill("jane")
        await tab.locator("input[name=sub]").press("Enter")
        await tab.wait_for_url("**/account/")
        await expect(tab.get_by_text("jane, a clinic (clinician)")).to_be_visible()
        cookies = {cookie["name"]: cookie for cookie in await tab.context.cookies()}
        assert cookies["sessionid"]["sameSite"] == "Strict"


async def test_language_is_kept_in_cookie_and_profile(tab: Page, chromium: Browser):
    await sync_to_async(person)()
    await tab.goto("/login/")
    await tab.get_by_role("button", name="Español").click()
    await expect(tab.locator("html")).to_have_attribute("lang", "es")
    await expect(tab.get_by_label("Contraseña")).to_be_visible()
    await tab.locator("#id_username").fill("nurse")
    await tab.locator("#id_password").fill(PASSWORD)
    await tab.locator("#id_password").press("Enter")
    await tab.goto("/account/")
    await tab.get_by_role("button", name="Français").click()
    await expect(tab.locator("html")).to_have_attribute("lang", "fr")
    assert (await Profile.objects.aget()).language == "fr"
    other = await chromium.new_context(base_url=tab.url.removesuffix("/account/"), **ENGLISH)
    page = await other.new_page()
    await give_password(page)
    await page.goto("/account/")
    await expect(page.locator("html")).to_have_attribute("lang", "fr")
    await other.close()


async def test_scripts_speak_the_language_of_their_page(tab: Page):
    await add_authenticator(tab)
    await tab.goto("/login/")
    await tab.get_by_role("button", name="Português").click()
    await tab.locator("form.passkey button").click()
    await expect(tab.get_by_role("alert")).to_contain_text("Nenhuma chave de acesso")
