"""Second factors at sign-in and on the account page, as a browser without scripts meets them."""

import re

import pyotp
import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command

from gateway.audit.events import COMMAND
from gateway.audit.models import Event
from gateway.people.models import Organisation
from gateway.role_names import ROLE_NAMES
from gateway.signin import totp
from gateway.signin.actions import make_recovery_codes
from gateway.signin.models import AuthenticatorApp, OpenSession, RecoveryCode
from tests.integration.gateway.client import Gateway, Response
from tests.integration.gateway.records import assert_problem, assert_refused
from tests.integration.gateway.test_sessions import PASSWORD, Browser, browser, person
from tests.signin import app_of, next_code

__all__ = ["browser"]

EVERYBODY = frozenset(ROLE_NAMES)


@pytest.fixture(autouse=True)
def second_factor(settings, transactional_db) -> None:
    settings.SECOND_FACTOR = True


def form_of(page: Response) -> dict[str, str]:
    """Return the hidden token of a page's forms."""
    text = page.body.decode()
    return {"csrfmiddlewaretoken": re.search(r'csrfmiddlewaretoken" value="(\w+)"', text)[1]}


def submit(browser: Browser, path: str, page: str = "", **fields: str) -> Response:
    """Send the form of a page, with its token."""
    token = form_of(browser.send(f"GET {page or path}"))
    return browser.post(path, **token, **fields)


def give_code(browser: Browser, code: str) -> Response:
    return submit(browser, "/login/second-factor/", code=code)


def actions() -> list[str]:
    return list(Event.objects.order_by("pk").values_list("action", flat=True))


def is_signed_in(browser: Browser) -> bool:
    return browser.send("GET /session/").json()["user"] is not None


def test_password_alone_opens_no_session(browser: Browser):
    app_of(person())
    response = browser.sign_in(next="/docs")
    assert response.headers["Location"] == "/login/second-factor/"
    assert not is_signed_in(browser)
    assert_refused(browser.predict(browser.token), 401, "unauthorized")
    assert browser.send("GET /account/").headers["Location"].startswith("/login/")
    assert "session.began" not in actions()


def test_code_completes_sign_in_and_keeps_next(browser: Browser):
    secret = app_of(person())
    browser.sign_in(next="/docs")
    before = browser.cookies["sessionid"]
    assert give_code(browser, next_code(secret)).headers["Location"] == "/docs"
    assert browser.cookies["sessionid"] != before
    assert browser.predict(browser.token).status == 200
    assert actions()[-2:] == ["second_factor.used", "session.began"]
    used = Event.objects.get(action="second_factor.used")
    assert (used.actor, used.subject) == ("user:nurse", "authenticator_app:nurse")
    assert str(used.organisation) == "a clinic"


def test_code_is_accepted_once(browser: Browser):
    secret = app_of(person())
    code = next_code(secret)
    browser.sign_in()
    give_code(browser, code)
    other = Browser(browser.gateway)
    other.sign_in()
    assert "not accepted" in give_code(other, code).body.decode()
    assert not is_signed_in(other)


def test_code_with_spaces_is_accepted(browser: Browser):
    secret = app_of(person())
    browser.sign_in()
    code = next_code(secret)
    assert give_code(browser, f" {code[:3]} {code[3:]} ").status == 302


def test_wrong_codes_lock_account_from_all_addresses(browser: Browser):
    secret = app_of(person())
    browser.sign_in()
    statuses = [give_code(browser, "abc").status for _ in range(5)]
    assert statuses == [200, 200, 200, 200, 429]
    assert_problem(give_code(browser, next_code(secret)), 429, "too_many_requests")
    # The lock is that of the person, whatever the address; their password is not locked.
    elsewhere = Browser(browser.gateway)
    assert elsewhere.sign_in().status == 302
    assert_problem(give_code(elsewhere, next_code(secret)), 429, "too_many_requests")
    refused = Event.objects.filter(action="second_factor.refused", subject="user:nurse")
    assert refused.count() == 5
    assert not is_signed_in(browser)


def test_right_code_resets_count_of_wrong_ones(browser: Browser):
    user = person()
    codes = make_recovery_codes(user, by=COMMAND)
    app_of(user)
    for code in codes[:2]:
        browser.cookies.clear()
        browser.sign_in()
        for _ in range(4):
            assert give_code(browser, "wrong").status == 200
        assert give_code(browser, code).status == 302


def test_typed_codes_are_not_stored(browser: Browser, caplog):
    from axes.models import AccessAttempt

    app_of(person())
    browser.sign_in()
    give_code(browser, "918273")
    assert "918273" not in str(list(AccessAttempt.objects.values()))
    assert "918273" not in caplog.text


def test_recovery_code_is_used_up(browser: Browser):
    user = person()
    app_of(user)
    code = make_recovery_codes(user, by=COMMAND)[3]
    browser.sign_in()
    assert give_code(browser, code.upper().replace("-", " ")).status == 302
    assert RecoveryCode.objects.count() == 9
    other = Browser(browser.gateway)
    other.sign_in()
    assert give_code(other, code).status == 200
    assert not is_signed_in(other)


@pytest.mark.parametrize("change", ["password", "person", "organisation"])
def test_waiting_sign_in_ends_with_account(browser: Browser, change):
    user = person()
    secret = app_of(user)
    browser.sign_in()
    token = form_of(browser.send("GET /login/second-factor/"))
    if change == "password":
        user.set_password("another password of some length")
        user.save()
    elif change == "person":
        User.objects.update(is_active=False)
    else:
        Organisation.objects.update(is_active=False)
    response = browser.post("/login/second-factor/", **token, code=next_code(secret))
    assert response.headers["Location"] == "/login/"
    assert not is_signed_in(browser)


def test_waiting_sign_in_expires(browser: Browser, monkeypatch):
    secret = app_of(person())
    browser.sign_in()
    token = form_of(browser.send("GET /login/second-factor/"))
    monkeypatch.setattr("gateway.signin.pending.WITHIN_S", -1)
    response = browser.post("/login/second-factor/", **token, code=next_code(secret))
    assert response.headers["Location"] == "/login/"


def test_second_factor_page_without_password_leads_to_sign_in(browser: Browser):
    assert browser.send("GET /login/second-factor/").headers["Location"] == "/login/"


def test_second_factor_is_not_asked_where_settings_are_off(browser: Browser, settings):
    app_of(person())
    settings.SECOND_FACTOR = False
    assert browser.sign_in().headers["Location"] == "/"
    assert browser.send("GET /account/app/").status == 404


def test_admin_has_no_sign_in_of_its_own(browser: Browser):
    user = User.objects.create_superuser("root", password=PASSWORD)
    secret = app_of(user)
    location = browser.send("GET /admin/").headers["Location"]
    assert browser.send(f"GET {location}").headers["Location"] == "/login/?next=%2Fadmin%2F"
    page = browser.send("GET /login/?next=/admin/")
    fields = {"username": "root", "password": PASSWORD, "next": "/admin/"}
    direct = browser.post("/admin/login/", **form_of(page), **fields)
    assert direct.headers["Location"] == "/login/?next=%2Fadmin%2F"
    assert browser.sign_in("root", next="/admin/").headers["Location"] == "/login/second-factor/"
    assert browser.send("GET /admin/").status == 302
    assert give_code(browser, next_code(secret)).headers["Location"] == "/admin/"
    assert browser.send("GET /admin/").status == 200


def test_admin_refuses_people_who_are_no_staff(browser: Browser):
    person()
    browser.sign_in()
    location = browser.send("GET /admin/").headers["Location"]
    assert_problem(browser.send(f"GET {location}"), 403, "forbidden")


@pytest.mark.parametrize(
    ("required", "role", "needs"),
    [
        ({"operator"}, "operator", True),
        ({"operator"}, "clinician", False),
        (EVERYBODY, "clinician", True),
        (EVERYBODY, "a guest", True),
    ],
)
def test_required_second_factor_is_added_at_sign_in(
    browser: Browser, settings, required, role, needs
):
    settings.REQUIRE_SECOND_FACTOR = frozenset(required)
    person(role=role)
    location = browser.sign_in().headers["Location"]
    assert (location == "/login/enrolment/") == needs
    assert is_signed_in(browser) != needs


def test_superuser_needs_second_factor_where_any_role_does(browser: Browser, settings):
    settings.REQUIRE_SECOND_FACTOR = frozenset({"auditor"})
    User.objects.create_superuser("root", password=PASSWORD)
    assert browser.sign_in("root").headers["Location"] == "/login/enrolment/"


def secret_on(page: Response) -> str:
    return re.search(r'<code id="secret">([A-Z2-7 ]+)<', page.body.decode())[1].replace(" ", "")


def test_enrolment_signs_in_and_shows_recovery_codes(browser: Browser, settings):
    settings.REQUIRE_SECOND_FACTOR = EVERYBODY
    person()
    browser.sign_in(next="/docs")
    assert "/account/app/" in browser.send("GET /login/enrolment/").body.decode()
    page = browser.send("GET /account/app/")
    code = pyotp.TOTP(secret_on(page)).now()
    assert b"data:image/svg+xml" in page.body
    codes = browser.post("/account/app/", **form_of(page), code=code)
    shown = re.findall(r"<code>([a-z2-7-]{19})</code>", codes.body.decode())
    assert len(shown) == 10
    assert 'href="/docs"' in codes.body.decode()
    assert is_signed_in(browser)
    assert actions()[-3:] == ["second_factor.added", "session.began", "recovery_codes.made"]
    stored = AuthenticatorApp.objects.get()
    assert secret_on(page).encode() not in bytes(stored.secret)
    assert not RecoveryCode.objects.filter(digest__in=shown).exists()


def test_secret_of_new_app_is_not_plain_in_session(browser: Browser):
    person()
    browser.sign_in()
    secret = secret_on(browser.send("GET /account/app/"))
    kept = [session.get_decoded() for session in Session.objects.all()]
    assert "signin.new_app" in str(kept)
    assert secret not in str(kept)


def test_wrong_code_adds_no_app(browser: Browser):
    person()
    browser.sign_in()
    page = browser.send("GET /account/app/")
    again = browser.post("/account/app/", **form_of(page), code="000000")
    assert secret_on(again) == secret_on(page)
    assert not AuthenticatorApp.objects.exists()


def test_waiting_sign_in_with_factor_adds_no_other(browser: Browser):
    app_of(person())
    browser.sign_in()
    for path in ("/account/app/", "/account/passkey/", "/login/enrolment/"):
        assert browser.send(f"GET {path}").headers["Location"].startswith("/login/")
    token = form_of(browser.send("GET /login/second-factor/"))
    response = browser.post("/account/passkey/options", **token)
    assert_problem(response, 403, "forbidden")


def test_factors_change_only_after_fresh_sign_in(browser: Browser, monkeypatch):
    secret = app_of(person())
    browser.sign_in()
    give_code(browser, next_code(secret))
    monkeypatch.setattr("gateway.signin.steps.FRESH_S", -1)
    location = browser.send("GET /account/passkey/").headers["Location"]
    assert location == "/login/?next=%2Faccount%2Fpasskey%2F&again=1"
    assert "Sign in again" in browser.send(f"GET {location}").body.decode()
    for path in ("/account/remove", "/account/recovery-codes"):
        location = submit(browser, path, "/account/").headers["Location"]
        assert location == "/login/?next=%2Faccount%2F&again=1"
    assert AuthenticatorApp.objects.exists()


def test_signing_in_again_needs_second_factor_and_keeps_person(browser: Browser):
    secret = app_of(person())
    browser.sign_in()
    give_code(browser, next_code(secret))
    page = browser.send("GET /login/?again=1&next=/account/")
    fields = {"username": "nurse", "password": PASSWORD, "next": "/account/"}
    response = browser.post("/login/?again=1", **form_of(page), **fields)
    assert response.headers["Location"] == "/login/second-factor/"
    AuthenticatorApp.objects.update(last_step=0)
    assert give_code(browser, pyotp.TOTP(secret).now()).headers["Location"] == "/account/"
    assert OpenSession.objects.count() == 1


def test_removed_app_is_no_longer_asked_for(browser: Browser):
    user = person()
    secret = app_of(user)
    make_recovery_codes(user, by=COMMAND)
    browser.sign_in()
    give_code(browser, next_code(secret))
    assert submit(browser, "/account/remove", "/account/").status == 302
    assert not RecoveryCode.objects.exists()
    event = Event.objects.get(action="second_factor.removed")
    assert (event.actor, event.subject) == ("user:nurse", "authenticator_app:nurse")
    assert Browser(browser.gateway).sign_in().headers["Location"] == "/"


def test_last_required_factor_stays(browser: Browser, settings):
    settings.REQUIRE_SECOND_FACTOR = EVERYBODY
    secret = app_of(person())
    browser.sign_in()
    give_code(browser, next_code(secret))
    page = submit(browser, "/account/remove", "/account/")
    assert "add another one" in page.body.decode()
    assert AuthenticatorApp.objects.exists()


def test_new_recovery_codes_replace_old_ones(browser: Browser):
    user = person()
    old = make_recovery_codes(user, by=COMMAND)
    secret = app_of(user)
    browser.sign_in()
    give_code(browser, next_code(secret))
    page = submit(browser, "/account/recovery-codes", "/account/").body.decode()
    new = re.findall(r"<code>([a-z2-7-]{19})</code>", page)
    assert len(new) == 10
    assert not set(new) & set(old)
    assert RecoveryCode.objects.count() == 10


def test_operator_resets_second_factor(browser: Browser):
    user = person()
    secret = app_of(user)
    browser.sign_in()
    give_code(browser, next_code(secret))
    other = Browser(browser.gateway)
    other.sign_in()
    for _ in range(5):
        give_code(other, "wrong")
    call_command("reset_second_factor", "nurse")
    assert not is_signed_in(browser)
    assert not AuthenticatorApp.objects.exists()
    event = Event.objects.get(action="second_factor.reset")
    assert (event.actor, event.subject, str(event.organisation)) == (
        "command",
        "user:nurse",
        "a clinic",
    )
    assert Browser(browser.gateway).sign_in().headers["Location"] == "/"


def test_reset_of_unknown_person_fails():
    with pytest.raises(CommandError, match="no person"):
        call_command("reset_second_factor", "nobody")


def test_secret_of_other_secret_key_is_refused(browser: Browser, settings, caplog):
    secret = app_of(person())
    app = AuthenticatorApp.objects.get()
    settings.SECRET_KEY = "another secret key of some length, which nothing was stored with"
    browser.sign_in()
    assert give_code(browser, next_code(secret)).status == 200
    assert not is_signed_in(browser)
    assert AuthenticatorApp.objects.get().last_step == app.last_step


def test_passkey_of_nobody_is_refused(browser: Browser):
    page = browser.send("GET /login/")
    token = form_of(page)
    options = browser.post("/login/passkey/options", **token).json()["publicKey"]
    assert options["userVerification"] == "required"
    assert options.get("allowCredentials", []) == []
    for credential in ("", "[]", "{}", '{"id": "AA", "rawId": "AA", "type": "public-key"}'):
        response = browser.post("/login/passkey/", **token, credential=credential)
        assert "not known here" in response.body.decode()
    assert set(actions()) == {"session.refused"}
    assert not is_signed_in(browser)


def test_sessions_of_people_are_listed_and_ended(browser: Browser, gateway: Gateway):
    person()
    browser.sign_in()
    other = Browser(gateway)
    other.sign_in()
    number = OpenSession.objects.earliest("began_at").pk
    page = other.send("GET /account/").body.decode()
    assert page.count("127.0.0.1") == 2
    assert browser.cookies["sessionid"] not in page
    assert submit(other, f"/account/sessions/{number}/end", "/account/").status == 302
    assert not is_signed_in(browser)
    assert is_signed_in(other)
    assert actions()[-1] == "session.ended"


def test_sessions_of_others_are_out_of_reach(browser: Browser, gateway: Gateway):
    person()
    person("doctor")
    browser.sign_in()
    other = Browser(gateway)
    other.sign_in("doctor")
    number = OpenSession.objects.get(user__username="nurse").pk
    assert submit(other, f"/account/sessions/{number}/end", "/account/").status == 404
    assert is_signed_in(browser)


def test_sign_out_removes_session_from_list(browser: Browser):
    person()
    browser.sign_in()
    assert OpenSession.objects.count() == 1
    submit(browser, "/logout/", "/account/")
    assert OpenSession.objects.count() == 0


def test_totp_matches_rfc_6238(monkeypatch):
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # RFC 6238, appendix B, in base32
    for at, code in ((59, "287082"), (1111111109, "081804"), (2000000000, "279037")):
        monkeypatch.setattr(totp, "time", lambda at=at: at)
        assert totp.step_of(secret, code) == at // 30
        monkeypatch.setattr(totp, "time", lambda at=at: at + 60)
        assert totp.step_of(secret, code) is None
