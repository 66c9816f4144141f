"""People who signed in on the page, seen before any middleware."""

from importlib import import_module

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.middleware.csrf import _get_new_csrf_string

from gateway.access.auth import authenticate, authorise
from gateway.access.caller import Caller
from gateway.access.limits import Limiter
from gateway.access.session import caller_of_session
from gateway.context import RequestContext, with_context
from gateway.database import in_database
from gateway.environment import Rates
from gateway.errors import Forbidden, InvalidApiKey, TooManyRequests
from gateway.people.actions import add_member, set_role
from gateway.people.models import Organisation
from tests.clinics import issue_key, organisation_named
from tests.unit.gateway.access.test_actions import OPERATOR


@pytest.fixture
def nurse(db: None) -> User:
    user = User.objects.create_user("nurse", password="a password of some length")
    add_member(user, organisation_named("a clinic"), by=OPERATOR)
    set_role(user, "clinician")
    return user


def session_of(user: User) -> str:
    """Return the key of a new session of the user."""
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "gateway.people.backends.PeopleBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return session.session_key


TOKEN = _get_new_csrf_string()


def scope(session: str, *headers: tuple[bytes, bytes], token: str | None = TOKEN) -> dict:
    cookie = f"sessionid={session}; csrftoken={TOKEN}".encode()
    shown = [] if token is None else [(b"x-csrftoken", token.encode())]
    content = {
        "type": "http",
        "method": "POST",
        "path": "/predict/",
        "scheme": "https",
        "query_string": b"",
        "server": ("localhost", 443),
        "headers": [
            (b"host", b"localhost"),
            (b"referer", b"https://localhost/"),
            (b"cookie", cookie),
            *shown,
            *headers,
        ],
    }
    return with_context(content, RequestContext("id", correlation_id=None))


def test_person_of_session_is_caller(nurse: User):
    caller = caller_of_session(scope(session_of(nurse)))
    scopes = frozenset({"predict", "feedback"})
    assert caller == Caller(organisation_named("a clinic"), scopes, user="nurse")


def test_form_in_body_is_not_read(nurse: User):
    form = (b"content-type", b"multipart/form-data; boundary=x"), (b"content-length", b"100")
    assert caller_of_session(scope(session_of(nurse), *form)).user == "nurse"


def test_unknown_session_has_no_caller(nurse: User):
    assert caller_of_session(scope("0" * 32)) is None


def test_person_without_organisation_is_no_caller(nurse: User):
    guest = User.objects.create_user("a guest")
    assert caller_of_session(scope(session_of(guest))) is None


def test_person_of_inactive_organisation_is_no_caller(nurse: User):
    Organisation.objects.update(is_active=False)
    assert caller_of_session(scope(session_of(nurse))) is None


@pytest.mark.parametrize("token", [None, "", "x" * 32, "x" * 64])
def test_request_without_csrf_token_is_refused(nurse: User, token: str | None):
    with pytest.raises(Forbidden, match="does not come from a page of this service"):
        caller_of_session(scope(session_of(nurse), token=token))


def test_request_from_foreign_origin_is_refused(nurse: User):
    with pytest.raises(Forbidden):
        caller_of_session(scope(session_of(nurse), (b"origin", b"https://elsewhere.example")))


class TestAuthorise:
    CALLER = Caller(Organisation(pk=1), frozenset({"predict"}), user="nurse")

    def scope(self, rate: int = 2) -> dict:
        limiter = Limiter(Rates(caller=rate, organisation=9, failures=9))
        return with_context({"state": {"limiter": limiter}}, RequestContext("id", None))

    async def test_adds_remaining_rate_to_context(self):
        scope = self.scope()
        await authorise(scope, self.CALLER, "predict")
        headers = dict(scope["lesionserve.context"].rate_limits)
        assert headers[b"ratelimit-policy"] == b'"caller";q=2;w=60, "organisation";q=9;w=60'
        assert headers[b"ratelimit"].startswith(b'"caller";r=1;t=')

    async def test_refuses_request_beyond_rate_and_states_remaining(self):
        scope = self.scope(rate=1)
        await authorise(scope, self.CALLER, "predict")
        with pytest.raises(TooManyRequests):
            await authorise(scope, self.CALLER, "predict")
        headers = dict(scope["lesionserve.context"].rate_limits)
        assert headers[b"ratelimit"].startswith(b'"caller";r=0;t=')

    async def test_refuses_missing_scope_without_counting(self):
        scope = self.scope(rate=1)
        with pytest.raises(Forbidden):
            await authorise(scope, self.CALLER, "usage:read")
        await authorise(scope, self.CALLER, "predict")


@pytest.mark.django_db(transaction=True)
async def test_session_counts_only_without_key(nurse: User):
    session = await in_database(session_of, nurse)
    key, token = await in_database(issue_key)
    state = {"limiter": Limiter(Rates(caller=10, organisation=10, failures=10))}

    async def caller(*headers: tuple[bytes, bytes]) -> Caller:
        return await authenticate({**scope(session, *headers), "state": state})

    assert (await caller()).name == "user:nurse"
    assert (await caller((b"x-api-key", str(token).encode()))).name == f"key:{key.id}"
    with pytest.raises(InvalidApiKey):
        await caller((b"x-api-key", b"no key"))
