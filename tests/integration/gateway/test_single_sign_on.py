"""Single sign-on at a real OpenID provider of the tests, and who is let in by which rule."""

import html
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User

from gateway.audit.models import Event
from gateway.people.models import Member, Organisation
from gateway.role_names import ROLE_NAMES
from gateway.signin.models import Identity
from tests.clinics import organisation_named
from tests.integration.gateway.client import Response
from tests.integration.gateway.openid import authorize, running_provider, set_person, settings_for
from tests.integration.gateway.test_second_factor import form_of, is_signed_in
from tests.integration.gateway.test_sessions import PASSWORD, Browser, browser, person
from tests.signin import app_of

__all__ = ["browser"]


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with running_provider() as issuer:
        yield issuer


@pytest.fixture(autouse=True)
def openid(settings, issuer: str, transactional_db) -> None:
    settings.OPENID = settings_for(issuer)
    organisation_named("a clinic")


def come_back(browser: Browser, path: str) -> Response:
    """Follow the way back: the first answer asks the browser to come once more."""
    page = browser.send(f"GET {path}").body.decode()
    address = html.unescape(re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page)[1])
    return browser.send(f"GET {path.partition('?')[0]}{address}")


def sign_in_at(browser: Browser, issuer: str, subject: str, **claims: Any) -> Response:
    set_person(issuer, subject, **claims)
    location = browser.send("GET /login/sso/?next=/docs").headers["Location"]
    return come_back(browser, authorize(location, subject))


def member(groups: list[str] | str = "gynaecology", **claims: Any) -> dict[str, Any]:
    return {"preferred_username": "jane", "groups": groups, **claims}


def refusal(response: Response) -> str:
    assert response.status == 200
    found = re.search(r'class="problem" role="alert">([^<]+)<', response.body.decode())
    return html.unescape(found[1])


def test_sign_in_page_offers_provider(browser: Browser, settings):
    page = browser.send("GET /login/?next=/docs").body.decode()
    assert "Continue with St. Mary" in page
    assert 'href="/login/sso/?next=%2Fdocs"' in page
    settings.OPENID = None
    assert "single-sign-on" not in browser.send("GET /login/").body.decode()
    assert browser.send("GET /login/sso/").status == 404


def test_member_of_group_gets_account_with_its_role(browser: Browser, issuer):
    response = sign_in_at(browser, issuer, "1", **member(email="jane@x.example"))
    assert response.headers["Location"] == "/docs"
    assert browser.predict(browser.token).status == 200
    user = User.objects.get(username="jane")
    assert not user.has_usable_password()
    assert not user.is_staff
    assert not user.is_superuser
    assert user.email == ""  # it is not verified
    assert [group.name for group in user.groups.all()] == ["clinician"]
    assert str(Member.objects.organisation_of(user)) == "a clinic"
    actions = [event.action for event in Event.objects.order_by("pk")]
    assert actions[-2:] == ["identity.linked", "session.began"]
    linked = Event.objects.get(action="identity.linked")
    assert (linked.actor, linked.subject, linked.address) == ("user:jane", "user:jane", "127.0.0.1")


def test_same_subject_is_same_person_under_another_name(browser: Browser, issuer):
    sign_in_at(browser, issuer, "2", **member())
    other = Browser(browser.gateway)
    sign_in_at(other, issuer, "2", **member(preferred_username="jane.doe"))
    assert other.send("GET /session/").json() == {"user": "jane"}
    assert Identity.objects.count() == 1


def test_roles_and_organisation_follow_groups(browser: Browser, issuer):
    organisation_named("elsewhere")
    sign_in_at(browser, issuer, "3", **member(["gynaecology", "audit", "unknown"]))
    user = User.objects.get()
    assert {group.name for group in user.groups.all()} == {"clinician", "auditor"}
    assert user.is_staff
    sign_in_at(browser, issuer, "3", **member("elsewhere"))
    user.refresh_from_db()
    assert {group.name for group in user.groups.all()} == {"clinician"}
    assert not user.is_staff
    assert str(Member.objects.organisation_of(user)) == "elsewhere"


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"groups": []},
        {"groups": ["unknown"]},
        {"groups": ["gynaecology", "elsewhere"]},
        {"groups": "nowhere"},
        {"groups": {"gynaecology": True}},
        {"groups": "gynaecology", "preferred_username": "nurse"},
        {"groups": "gynaecology", "preferred_username": "NURSE"},
        {"groups": "gynaecology", "preferred_username": "two words"},
        {"email": "nurse@x.example"},
        {"email": "nurse@x.example", "email_verified": "true"},
        {"email": "root@x.example", "email_verified": True},
        {"email": "both@x.example", "email_verified": True},
        {"email": "", "email_verified": True},
    ],
    ids=str,
)
def test_unknown_person_is_refused(browser: Browser, issuer, claims):
    person()
    User.objects.update(email="nurse@x.example")
    User.objects.create_superuser("root", email="root@x.example")
    for name in ("first", "second"):
        User.objects.create_user(name, email="both@x.example")
    response = sign_in_at(browser, issuer, "4", **claims)
    assert "not let in here" in refusal(response)
    assert not is_signed_in(browser)
    assert User.objects.count() == 4
    assert not Identity.objects.exists()
    refused = Event.objects.get(action="identity.refused")
    assert (refused.actor, refused.subject) == ("unknown", "identity:4")


def test_verified_address_links_existing_person(browser: Browser, issuer):
    user = person(role="auditor")
    User.objects.update(email="Nurse@x.example")
    claims = {"email": "nurse@x.example", "email_verified": True, "groups": "gynaecology"}
    assert sign_in_at(browser, issuer, "5", **claims).status == 302
    assert browser.send("GET /session/").json() == {"user": "nurse"}
    assert not Identity.objects.get(user=user).follows_groups
    assert [group.name for group in user.groups.all()] == ["auditor"]
    # Another account of the provider gets the same address.
    other = Browser(browser.gateway)
    assert "not let in" in refusal(sign_in_at(other, issuer, "6", **claims))


def test_address_links_nobody_where_setting_is_off(browser: Browser, issuer, settings):
    settings.OPENID = settings_for(issuer, links_by_email=False)
    person()
    User.objects.update(email="nurse@x.example")
    response = sign_in_at(browser, issuer, "7", email="nurse@x.example", email_verified=True)
    assert "not let in" in refusal(response)


@pytest.mark.parametrize("change", ["person", "organisation", "group", "membership"])
def test_known_person_stays_out_once_not_entitled(browser: Browser, issuer, change):
    sign_in_at(browser, issuer, "8", **member())
    claims = member()
    if change == "person":
        User.objects.update(is_active=False)
    elif change == "organisation":
        Organisation.objects.update(is_active=False)
    elif change == "membership":
        Member.objects.all().delete()
    else:
        claims = member([])
    other = Browser(browser.gateway)
    assert "not let in" in refusal(sign_in_at(other, issuer, "8", **claims))
    assert not is_signed_in(other)


def test_inactive_organisation_gets_no_new_people(browser: Browser, issuer):
    Organisation.objects.update(is_active=False)
    assert "not let in" in refusal(sign_in_at(browser, issuer, "9", **member()))
    assert not User.objects.exists()


def test_same_subject_of_another_issuer_is_another_person(browser: Browser, issuer, settings):
    sign_in_at(browser, issuer, "10", **member())
    settings.OPENID = settings_for(issuer.replace("localhost", "127.0.0.1"))
    other = Browser(browser.gateway)
    assert "not let in" in refusal(
        sign_in_at(other, settings.OPENID.issuer, "10", **member())  # its name is taken
    )


@pytest.mark.parametrize(
    ("setting", "methods", "location"),
    [
        ("claimed", ["pwd"], "/login/enrolment/"),
        ("claimed", None, "/login/enrolment/"),
        ("claimed", ["pwd", "mfa"], "/docs"),
        ("always", None, "/docs"),
        ("never", ["mfa"], "/login/enrolment/"),
    ],
)
def test_provider_may_ask_for_second_factor(
    browser: Browser, issuer, settings, setting, methods, location
):
    settings.OPENID = settings_for(issuer, second_factor=setting)
    settings.SECOND_FACTOR, settings.REQUIRE_SECOND_FACTOR = True, frozenset(ROLE_NAMES)
    claims = member() if methods is None else member(amr=methods)
    assert sign_in_at(browser, issuer, "11", **claims).headers["Location"] == location
    assert is_signed_in(browser) == (location == "/docs")


def test_own_second_factor_is_asked_after_provider(browser: Browser, issuer, settings):
    settings.SECOND_FACTOR = True
    sign_in_at(browser, issuer, "12", **member())
    app_of(User.objects.get())
    other = Browser(browser.gateway)
    response = sign_in_at(other, issuer, "12", **member())
    assert response.headers["Location"] == "/login/second-factor/"
    assert not is_signed_in(other)


@pytest.mark.parametrize(("ago", "fresh"), [(10, True), (3600, False), (None, False)])
def test_change_of_factors_needs_recent_proof_at_provider(
    browser: Browser, issuer, settings, ago, fresh
):
    settings.SECOND_FACTOR = True
    claims = {"auth_time": "untold" if ago is None else int(time.time()) - ago}
    sign_in_at(browser, issuer, "13", **member(**claims))
    response = browser.send("GET /account/app/")
    assert (response.status == 200) == fresh


def ask_again(browser: Browser) -> str:
    """Follow the way of a person who wants to change their factors, to the provider's address."""
    location = browser.send("GET /account/app/").headers["Location"]
    page = browser.send(f"GET {location}").body.decode()
    link = html.unescape(re.search(r'href="(/login/sso/[^"]+)"', page)[1])
    return browser.send(f"GET {link}").headers["Location"]


def test_provider_is_made_to_ask_again(browser: Browser, issuer, settings):
    settings.SECOND_FACTOR = True
    sign_in_at(browser, issuer, "18", **member(auth_time=int(time.time()) - 3600))
    location = ask_again(browser)
    assert "prompt=login&max_age=0" in location
    set_person(issuer, "18", **member(auth_time=int(time.time())))
    assert come_back(browser, authorize(location, "18")).headers["Location"] == "/account/app/"
    assert browser.send("GET /account/app/").status == 200


def test_provider_that_does_not_ask_again_is_found(browser: Browser, issuer, settings):
    settings.SECOND_FACTOR = True
    sign_in_at(browser, issuer, "19", **member(auth_time=int(time.time()) - 3600))
    location = ask_again(browser)
    assert "did not ask you again" in refusal(come_back(browser, authorize(location, "19")))


def test_answer_for_another_session_is_refused(browser: Browser, issuer):
    set_person(issuer, "14", **member())
    path = authorize(browser.send("GET /login/sso/").headers["Location"], "14")
    victim = Browser(browser.gateway)
    victim.send("GET /login/sso/")
    assert "another window" in refusal(come_back(victim, path))
    assert not is_signed_in(victim)
    # The session of the person who began is not hurt by that.
    assert come_back(browser, path).status == 302


def test_answer_is_used_once(browser: Browser, issuer):
    set_person(issuer, "15", **member())
    path = authorize(browser.send("GET /login/sso/").headers["Location"], "15")
    assert come_back(browser, path).status == 302
    again = Browser(browser.gateway)
    again.send("GET /login/sso/")
    assert "another window" in refusal(come_back(again, path))


def test_cancelled_sign_in_is_explained(browser: Browser, issuer):
    location = browser.send("GET /login/sso/").headers["Location"]
    state = re.search(r"state=([\w-]+)", location)[1]
    path = f"/login/sso/callback?error=access_denied&state={state}"
    assert "cancelled" in refusal(come_back(browser, path))


def test_foreign_code_is_refused(browser: Browser, issuer):
    location = browser.send("GET /login/sso/").headers["Location"]
    state = re.search(r"state=([\w-]+)", location)[1]
    path = f"/login/sso/callback?code=invented&state={state}"
    assert "not valid" in refusal(come_back(browser, path))


def test_absent_provider_is_explained(browser: Browser, settings):
    settings.OPENID = settings_for("http://127.0.0.1:9")
    assert "cannot be reached" in refusal(browser.send("GET /login/sso/"))


def test_next_of_another_site_is_dropped(browser: Browser, issuer):
    set_person(issuer, "16", **member())
    location = browser.send("GET /login/sso/?next=//evil.example/").headers["Location"]
    assert come_back(browser, authorize(location, "16")).headers["Location"] == "/"


def sign_in_with_password(browser: Browser) -> int:
    """Return the status of an attempt with the right password: 302 where it lets the person in."""
    other = Browser(browser.gateway)
    page = other.send("GET /login/")
    fields = {"username": "nurse", "password": PASSWORD}
    return other.post("/login/", **form_of(page), **fields).status


def test_password_of_linked_person_still_works(browser: Browser, issuer):
    person()
    User.objects.update(email="nurse@x.example")
    sign_in_at(browser, issuer, "17", email="nurse@x.example", email_verified=True)
    assert sign_in_with_password(browser) == 302


def test_passwords_may_be_for_superusers_alone(browser: Browser, settings):
    settings.PASSWORDS = "superusers"
    person()
    assert "administrators only" in browser.send("GET /login/").body.decode()
    assert sign_in_with_password(browser) == 200
    assert Event.objects.latest("pk").action == Event.Action.SESSION_REFUSED
    User.objects.update(is_superuser=True)
    assert sign_in_with_password(browser) == 302
