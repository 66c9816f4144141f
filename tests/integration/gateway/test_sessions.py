"""People who sign in with a password, as a browser does it: cookies, forms and their tokens."""

import re
from dataclasses import dataclass, field
from urllib.parse import urlencode

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import Group, User

from gateway.audit.models import Event
from gateway.people.models import Member, Organisation
from gateway.people.sessions import SessionStore
from tests.clinics import organisation_named
from tests.integration.gateway.client import BOUNDARY, Gateway, Response, form, head, jpeg, part
from tests.integration.gateway.records import assert_problem, assert_refused, the_record

PASSWORD = "a password of some length"
MULTIPART = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"


@dataclass
class Browser:
    gateway: Gateway
    cookies: dict[str, str] = field(default_factory=dict)

    def send(self, line: str, body: bytes = b"", *headers: str) -> Response:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        lines = [f"Cookie: {cookies}", f"Content-Length: {len(body)}", *headers]
        response = self.gateway.exchange(head(line, *lines) + body, line.split()[0])
        for cookie in response.headers.get_all("Set-Cookie") or []:
            name, value = re.match(r'(\w+)="?([^";]*)', cookie).groups()
            self.cookies[name] = value
        return response

    def post(self, path: str, **fields: str) -> Response:
        kind = "Content-Type: application/x-www-form-urlencoded"
        return self.send(f"POST {path}", urlencode(fields).encode(), kind)

    def sign_in(self, name: str = "nurse", password: str = PASSWORD, **fields: str) -> Response:
        page = self.send("GET /login/").body.decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
        fields = {"username": name, "password": password, **fields}
        return self.post("/login/", csrfmiddlewaretoken=token, **fields)

    def predict(self, *headers: str) -> Response:
        return self.send("POST /predict/", form(part(jpeg())), MULTIPART, *headers)

    @property
    def token(self) -> str:
        return f"X-CSRFToken: {self.cookies['csrftoken']}"


@pytest.fixture
def browser(gateway: Gateway) -> Browser:
    return Browser(gateway)


def person(name: str = "nurse", role: str = "clinician", organisation: str = "a clinic") -> User:
    user = User.objects.create_user(name, password=PASSWORD, is_staff=role != "clinician")
    user.groups.add(Group.objects.get_or_create(name=role)[0])
    Member.objects.create(user=user, organisation=organisation_named(organisation))
    return user


def test_signed_in_person_predicts_without_key(browser: Browser):
    person()
    assert browser.sign_in().status == 302
    assert browser.predict(browser.token).status == 200
    record = the_record()
    assert (record.user, record.key_id, str(record.organisation)) == ("nurse", "", "a clinic")
    assert Event.objects.first().action == "session.began"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        ["X-CSRFToken: " + "a" * 32],
        ["X-CSRFToken: short"],
        ["{token}", "Origin: https://evil.example"],
        ["{token}", "Origin: null"],
    ],
)
def test_session_request_without_csrf_token_is_refused(browser: Browser, ingress, headers):
    person()
    browser.sign_in()
    lines = [line.format(token=browser.token) for line in headers]
    assert_refused(browser.predict(*lines), 403, "forbidden")
    assert ingress.sent == []


def test_session_request_of_own_page_is_accepted(browser: Browser):
    person()
    browser.sign_in()
    assert browser.predict(browser.token, "Origin: http://localhost").status == 200


def test_unknown_session_gets_401(browser: Browser):
    person()
    browser.sign_in()
    browser.cookies["sessionid"] = "a" * 32
    assert_refused(browser.predict(browser.token), 401, "unauthorized")


@pytest.mark.parametrize("what", ["person", "organisation", "membership"])
def test_deactivated_person_is_refused_at_once(browser: Browser, what):
    user = person()
    browser.sign_in()
    if what == "person":
        User.objects.update(is_active=False)
    elif what == "organisation":
        Organisation.objects.update(is_active=False)
    else:
        Member.objects.filter(user=user).delete()
    assert_refused(browser.predict(browser.token), 401, "unauthorized")


def test_inactive_organisation_ends_sessions(browser: Browser):
    person(role="auditor")
    browser.sign_in()
    Organisation.objects.update(is_active=False)
    assert "Signed in" not in browser.send("GET /").body.decode()
    assert browser.send("GET /admin/").headers["Location"].startswith("/admin/login/")
    assert browser.sign_in().status == 200  # the form again
    assert browser.send("GET /admin/").status == 302


@pytest.mark.parametrize(
    "key", ["", "a" * 31, "a" * 33, "A" * 32, "\0" + "a" * 31, "a" * 32 + "\n"]
)
def test_malformed_session_key_is_no_session(key):
    assert SessionStore(key).session_key is None
    assert SessionStore("a1" * 16).session_key == "a1" * 16


def test_session_cookie_with_nul_is_no_session(browser: Browser):
    browser.cookies["sessionid"] = '"\\000aaaaaaaaaa"'
    assert_refused(browser.predict(), 401, "unauthorized")
    assert browser.send("GET /").status == 200
    assert browser.send("GET /admin/").status == 302


def test_person_without_predict_scope_is_refused(browser: Browser):
    person(role="auditor")
    browser.sign_in()
    assert_refused(browser.predict(browser.token), 403, "forbidden")
    assert the_record().user == "nurse"


@pytest.mark.parametrize(
    ("role", "reasons", "paths"),
    [
        ("auditor", "Its role is auditor", ["usage/tally", "usage/record", "usage/event"]),
        ("operator", "Its role is operator", ["usage/tally", "keys/apikey"]),
        ("a guest", "Its role is a guest", []),
    ],
)
def test_page_offers_other_views_without_predict_scope(browser: Browser, role, reasons, paths):
    person(role=role)
    browser.sign_in()
    page = browser.send("GET /").body.decode()
    assert reasons in page
    assert 'type="file"' not in page
    links = re.findall(r'href="(/admin/[^"]*)"', page)
    assert set(links) >= {f"/admin/{path}/" for path in paths}
    for link in links:
        assert browser.send(f"GET {link}").status == 200


def test_page_explains_missing_organisation(browser: Browser):
    User.objects.create_superuser("root", password=PASSWORD)
    browser.sign_in("root")
    page = browser.send("GET /").body.decode()
    assert "belongs to no organisation" in page
    assert 'type="file"' not in page
    assert "/admin/usage/record/" in page


@pytest.mark.parametrize("role", ["clinician", "admin"])
def test_page_shows_form_with_predict_scope(browser: Browser, role):
    person(role=role)
    browser.sign_in()
    page = browser.send("GET /").body.decode()
    assert 'type="file"' in page
    assert "cannot analyse images" not in page


def test_session_route_names_signed_in_person(browser: Browser):
    person()
    assert browser.send("GET /session/").json() == {"user": None}
    browser.sign_in()
    assert browser.send("GET /session/").json() == {"user": "nurse"}
    browser.cookies["sessionid"] = "a" * 32
    assert browser.send("GET /session/").json() == {"user": None}


def test_lockout_is_shown_as_page_in_browser(browser: Browser):
    person()
    for number in range(6):
        browser.sign_in(password=f"guess {number}")
    page = browser.send("GET /login/").body.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    fields = {"username": "nurse", "password": "guess", "csrfmiddlewaretoken": token}
    kind = "Content-Type: application/x-www-form-urlencoded"
    body = urlencode(fields).encode()
    response = browser.send("POST /login/", body, kind, "Accept: text/html, */*;q=0.8")
    assert response.status == 429
    assert "You can try again in 15 minutes." in response.body.decode()


def test_key_takes_precedence_over_session(browser: Browser, key):
    person()
    browser.sign_in()
    assert browser.predict(key).status == 200
    assert the_record().user == ""


def test_sign_in_changes_session_key(browser: Browser):
    person()
    browser.sign_in()
    first = browser.cookies["sessionid"]
    browser.cookies["sessionid"] = "f" * 32  # as somebody else planted it
    browser.sign_in()
    assert browser.cookies["sessionid"] not in ("f" * 32, first)


def test_session_cookie_is_secure_and_same_site(browser: Browser):
    person()
    session = next(
        cookie
        for cookie in browser.sign_in().headers.get_all("Set-Cookie")
        if cookie.startswith("sessionid")
    )
    assert {"HttpOnly", "Secure", "SameSite=Strict"} <= set(session.split("; "))


def test_sign_out_ends_session(browser: Browser):
    person()
    browser.sign_in()
    cookies = dict(browser.cookies)
    assert browser.send("GET /logout/").status == 405
    page = browser.send("GET /").body.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    assert browser.post("/logout/", csrfmiddlewaretoken=token).status == 302
    browser.cookies = cookies
    assert_refused(browser.predict(browser.token), 401, "unauthorized")


def test_wrong_passwords_lock_sign_in(browser: Browser):
    person()
    statuses = [browser.sign_in(password=f"guess {number}").status for number in range(6)]
    assert statuses[0] == 200
    assert statuses[-1] == 429
    response = browser.sign_in()  # the right one, too late
    assert_problem(response, 429, "too_many_requests")
    assert response.headers["Retry-After"] == "900"
    assert not Event.objects.filter(action="session.began").exists()
    refused = Event.objects.filter(action="session.refused", subject="user:nurse")
    assert [str(event.organisation) for event in refused] == ["a clinic"] * 7
    assert "guess" not in str(list(Event.objects.values()))


def test_typed_user_name_is_not_stored(browser: Browser, caplog):
    browser.sign_in("my password, by mistake")
    assert "by mistake" not in str(list(AccessAttempt.objects.values()))
    assert "by mistake" not in caplog.text
    assert "by mistake" not in str(list(Event.objects.values()))
    assert AccessAttempt.objects.get().ip_address == "127.0.0.1"


def test_sign_in_resets_failure_count(browser: Browser):
    person()
    for password in ("a guess", PASSWORD):
        browser.sign_in(password=password)
    assert not AccessAttempt.objects.exists()


def test_next_address_stays_on_this_site(browser: Browser):
    person()
    assert browser.sign_in(next="//evil.example/").headers["Location"] == "/"
    assert Browser(browser.gateway).sign_in(next="/docs").headers["Location"] == "/docs"


def test_sign_in_form_without_token_is_refused(browser: Browser):
    person()
    response = browser.post("/login/", username="nurse", password=PASSWORD)
    assert_problem(response, 403, "forbidden")


def test_auditor_sees_own_records_and_is_recorded(gateway: Gateway, browser: Browser, ingress):
    nurse, other = Browser(gateway), Browser(gateway)
    for client, name, organisation in (
        (nurse, "nurse", "a clinic"),
        (other, "doctor", "elsewhere"),
    ):
        person(name, organisation=organisation)
        client.sign_in(name)
        assert client.predict(client.token).status == 200
    person("auditor", "auditor")
    browser.sign_in("auditor")
    page = browser.send("GET /admin/usage/record/").body.decode()
    assert "nurse" in page
    assert "doctor" not in page
    theirs = Event.objects.filter(action="record.read")
    assert [event.actor for event in theirs] == ["user:auditor"]
    shown = browser.send("GET /admin/usage/tally/").body.decode()
    assert "<strong>1</strong> requests of a clinic" in shown


def test_auditor_is_offered_no_changes(browser: Browser):
    person("auditor", "auditor")
    browser.sign_in("auditor")
    for path in ("/admin/auth/user/", "/admin/people/member/", "/admin/people/organisation/add/"):
        assert browser.send(f"GET {path}").status == 403
    page = browser.send("GET /admin/keys/apikey/").body.decode()
    assert "revoke" not in page


@pytest.mark.parametrize("role", ["auditor", "operator", "admin"])
def test_person_with_usage_scope_sees_charts(browser: Browser, role):
    person(role=role)
    browser.sign_in()
    assert "requests of a clinic" in browser.send("GET /admin/usage/tally/").body.decode()


def test_staff_without_role_see_no_charts(browser: Browser):
    person(role="a guest")
    browser.sign_in()
    assert_problem(browser.send("GET /admin/usage/tally/"), 403, "forbidden")
    assert not Event.objects.filter(action="usage.read").exists()


def test_superuser_changes_are_recorded_with_their_name(browser: Browser):
    User.objects.create_superuser("root", password=PASSWORD)
    browser.sign_in("root")
    token = browser.cookies["csrftoken"]
    form = {"csrfmiddlewaretoken": token, "name": "a clinic", "is_active": "on"}
    assert browser.post("/admin/people/organisation/add/", **form).status == 302
    event = Event.objects.get(action="organisation.added")
    assert (event.actor, event.address) == ("user:root", "127.0.0.1")
    assert event.subject == "organisation:a clinic"
    person()
    assert Event.objects.filter(subject="user:nurse", actor="command").exists()
