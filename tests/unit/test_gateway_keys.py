from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from gateway.database import in_database
from gateway.keys.auth import authenticate
from gateway.keys.models import ApiKey
from gateway.keys.token import Token
from pipeline.errors import Unauthorized

NOW = timezone.now()

pytestmark = pytest.mark.django_db


def test_a_key_opens():
    key, token = ApiKey.objects.issue("a clinic")
    assert ApiKey.objects.authenticate(token, NOW) == key


def test_no_column_holds_the_secret():
    _, token = ApiKey.objects.issue("a clinic")
    (row,) = ApiKey.objects.values()
    assert token.secret not in str(row)


def test_another_secret_does_not_open():
    key, _ = ApiKey.objects.issue("a clinic")
    assert ApiKey.objects.authenticate(Token(key.id, "0" * 64), NOW) is None


def test_a_revoked_key_does_not_open():
    key, token = ApiKey.objects.issue("a clinic")
    key.revoke(NOW)
    assert ApiKey.objects.authenticate(token, NOW) is None


def test_the_first_revocation_stands():
    key, _ = ApiKey.objects.issue("a clinic")
    key.revoke(NOW)
    key.revoke(NOW + timedelta(days=1))
    assert ApiKey.objects.get(id=key.id).revoked_at == NOW


def test_a_key_opens_until_it_expires():
    _, token = ApiKey.objects.issue("a clinic", expires_at=NOW)
    assert ApiKey.objects.authenticate(token, NOW - timedelta(seconds=1)) is not None
    assert ApiKey.objects.authenticate(token, NOW) is None


def test_every_failure_asks_the_database_the_same():
    revoked, token = ApiKey.objects.issue("a clinic")
    revoked.revoke(NOW)
    for attempt in (token, Token(revoked.id, "0" * 64), Token.generate(), Token("", "")):
        with CaptureQueriesContext(connection) as queries:
            assert ApiKey.objects.authenticate(attempt, NOW) is None
        (query,) = queries.captured_queries
        assert query["sql"].startswith("SELECT")


def test_last_use_is_written_once_a_minute():
    key, token = ApiKey.objects.issue("a clinic")
    for seconds in (0, 59, 61):
        ApiKey.objects.authenticate(token, NOW + timedelta(seconds=seconds))
        used = ApiKey.objects.get(id=key.id).last_used_at
        assert used == NOW + timedelta(seconds=61 if seconds == 61 else 0)


@pytest.mark.django_db(transaction=True)
class TestHeaders:
    async def test_both_headers_are_read_whatever_their_case(self):
        key, token = await in_database(ApiKey.objects.issue, "a clinic")
        for name, value in [(b"X-Api-Key", f"{token}"), (b"authorization", f"aPI-kEY  {token} ")]:
            assert await authenticate([(b"host", b"x"), (name, value.encode())]) == key

    async def test_all_failures_read_alike(self):
        _, token = await in_database(ApiKey.objects.issue, "a clinic")
        good = (b"x-api-key", str(token).encode())
        messages = set()
        for headers in (
            [],
            [good, good],
            [(b"x-api-key", b"\xff")],
            [(b"authorization", b"Api-Key")],
        ):
            with pytest.raises(Unauthorized) as refusal:
                await authenticate(headers)
            messages.add(str(refusal.value))
        assert len(messages) == 1
