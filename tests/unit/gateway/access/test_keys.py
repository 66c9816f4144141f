from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from gateway.access.auth import authenticate
from gateway.access.limits import Limiter
from gateway.access.models import ApiKey
from gateway.access.token import Token
from gateway.addresses import address_of, address_of_request
from gateway.audit.models import Event
from gateway.database import in_database
from gateway.environment import Rates
from gateway.errors import TooManyRequests
from pipeline.errors import Unauthorized
from tests.clinics import issue_key, revoke_key, rotate_key

NOW = timezone.now()

pytestmark = pytest.mark.django_db


def test_valid_key_is_accepted():
    key, token = issue_key("a clinic")
    assert ApiKey.objects.authenticate(token, NOW) == key


def test_no_column_holds_secret():
    _, token = issue_key("a clinic")
    (row,) = ApiKey.objects.values()
    assert token.secret not in str(row)


def test_key_with_another_secret_is_refused():
    key, _ = issue_key("a clinic")
    assert ApiKey.objects.authenticate(Token(key.id, "0" * 64), NOW) is None


def test_revoked_key_is_refused():
    key, token = issue_key("a clinic")
    revoke_key(key)
    assert ApiKey.objects.authenticate(token, NOW) is None


def test_first_revocation_time_stays():
    key, _ = issue_key("a clinic")
    assert revoke_key(key)
    assert not revoke_key(key)
    assert ApiKey.objects.get(id=key.id).revoked_at == key.revoked_at
    assert Event.objects.filter(action="key.revoked").count() == 1


def test_key_is_accepted_until_it_expires():
    _, token = issue_key("a clinic", expires_at=NOW)
    assert ApiKey.objects.authenticate(token, NOW - timedelta(seconds=1)) is not None
    assert ApiKey.objects.authenticate(token, NOW) is None


def test_every_refusal_costs_one_query():
    revoked, token = issue_key("a clinic")
    revoke_key(revoked)
    for attempt in (token, Token(revoked.id, "0" * 64), Token.generate(), Token("", "")):
        with CaptureQueriesContext(connection) as queries:
            assert ApiKey.objects.authenticate(attempt, NOW) is None
        (query,) = queries.captured_queries
        assert query["sql"].startswith("SELECT")


def test_last_use_is_written_once_a_minute():
    key, token = issue_key("a clinic")
    for seconds in (0, 59, 61):
        ApiKey.objects.authenticate(token, NOW + timedelta(seconds=seconds))
        used = ApiKey.objects.get(id=key.id).last_used_at
        assert used == NOW + timedelta(seconds=61 if seconds == 61 else 0)


def test_rotated_key_stays_valid_for_overlap():
    old, _ = issue_key(scopes=["usage:read"], requests_per_day=7)
    new, token = rotate_key(old)
    assert (new.organisation, new.scopes, new.requests_per_day) == (
        old.organisation,
        ["usage:read"],
        7,
    )
    assert ApiKey.objects.authenticate(token, NOW) == new
    rotated = ApiKey.objects.get(id=old.id)
    assert rotated.opens(timezone.now() + timedelta(days=6))
    assert not rotated.opens(timezone.now() + timedelta(days=8))


def test_overlap_does_not_extend_expiring_key():
    ends_at = NOW + timedelta(days=1)
    old, _ = issue_key(expires_at=ends_at)
    rotate_key(old)
    assert ApiKey.objects.get(id=old.id).expires_at == ends_at


def test_key_rotates_once_and_successor_has_its_lifetime():
    old, _ = issue_key()
    new, _ = rotate_key(old)
    assert new.expires_at is None
    for again in (old, ApiKey.objects.get(id=old.id)):
        with pytest.raises(ValueError, match="rotated before"):
            rotate_key(again)
    assert rotate_key(new)[0].expires_at is None
    assert ApiKey.objects.count() == 3


def test_key_of_inactive_organisation_or_owner_is_refused():
    owner = User.objects.create_user("a nurse")
    key, token = issue_key(owner=owner)
    for thing in (owner, key.organisation):
        thing.is_active = False
        thing.save()
        assert ApiKey.objects.authenticate(token, NOW) is None
        assert ApiKey.objects.get(id=key.id).state(NOW) == "disabled"
        thing.is_active = True
        thing.save()
    assert ApiKey.objects.authenticate(token, NOW) == key


def scope_of(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    limiter = Limiter(Rates(caller=100, organisation=100, failures=3))
    return {
        "method": "POST",
        "path": "/predict/",
        "headers": headers,
        "client": ("192.0.2.1", 5),
        "state": {"limiter": limiter},
    }


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("testclient", None),
        ("", None),
    ],
)
def test_address_is_normalised(rf, host, address):
    assert address_of({"client": (host, 5)}) == address
    assert address_of_request(rf.get("/", REMOTE_ADDR=host)) == address


def test_scope_without_client_has_no_address():
    assert address_of({"client": None}) is None


@pytest.mark.django_db(transaction=True)
class TestHeaders:
    async def test_key_headers_are_case_insensitive(self):
        key, token = await in_database(issue_key)
        for name, value in [(b"X-Api-Key", f"{token}"), (b"authorization", f"aPI-kEY  {token} ")]:
            caller = await authenticate(scope_of((b"host", b"x"), (name, value.encode())))
            assert (caller.key_id, caller.scopes) == (key.id, {"predict"})

    async def test_all_refusals_have_same_text(self):
        _, token = await in_database(issue_key)
        good = (b"x-api-key", str(token).encode())
        messages = set()
        for headers in (
            [],
            [good, good],
            [(b"x-api-key", b"\xff")],
            [(b"authorization", b"Api-Key")],
            [(b"cookie", b"sessionid=unknown")],
        ):
            with pytest.raises(Unauthorized) as refusal:
                await authenticate(scope_of(*headers))
            messages.add(str(refusal.value))
        assert len(messages) == 1

    async def test_guessing_is_limited_by_address_except_valid_keys(self):
        _, token = await in_database(issue_key)
        scope = scope_of((b"x-api-key", b"a guess"))
        for _ in range(3):
            with pytest.raises(Unauthorized):
                await authenticate(scope)
        with pytest.raises(TooManyRequests) as refusal:
            await authenticate(scope)
        assert 1 <= refusal.value.retry_after_s <= 60
        with pytest.raises(Unauthorized):
            await authenticate({**scope, "client": ("192.0.2.2", 5)})
        assert await authenticate({**scope, "headers": [(b"x-api-key", str(token).encode())]})
