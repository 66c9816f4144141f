"""One answer for each idempotency key of an organisation, from one inference."""

import asyncio
import threading
from datetime import timedelta

import pytest
from cryptography.fernet import InvalidToken
from django.db import OperationalError
from django.utils import timezone

from gateway.database import in_database, waiting_at_most
from gateway.errors import Conflict, IdempotencyKeyReused
from gateway.people.models import Organisation
from gateway.predict import idempotency
from gateway.predict.idempotency import Lease, Replay, _key, acquire, forget_expired
from gateway.predict.models import IdempotentRequest
from pipeline.errors import BadRequest
from pipeline.schemas import Prediction, PredictOptions
from tests.clinics import organisation_named
from tests.integration.gateway.ingress import prediction

IMAGE = b"an image"
OPTIONS = PredictOptions()


def header(value: str) -> list[tuple[bytes, bytes]]:
    return [(b"Idempotency-Key", value.encode())]


class TestKey:
    @pytest.mark.parametrize(
        ("value", "key"),
        [
            ("a", "a"),
            ("!#~[]", "!#~[]"),
            ('"a key"', "a key"),
            (r'"a \"key\" \\ b"', r'a "key" \ b'),
            ("k" * 255, "k" * 255),
            ('"' + "k" * 255 + '"', "k" * 255),
        ],
    )
    def test_is_read_with_and_without_quotes(self, value, key):
        assert _key(header(value)) == key

    @pytest.mark.parametrize(
        "value",
        ["", '""', "k" * 256, '"' + "k" * 256 + '"', "a b", '"a', r"a\b", r'"a\b"', "\x7f", 'a"'],
    )
    def test_is_refused_when_malformed(self, value):
        with pytest.raises(BadRequest, match="malformed"):
            _key(header(value))

    @pytest.mark.parametrize("values", [("a", "a"), ('"a"', '"b"')])
    def test_is_refused_when_repeated(self, values):
        with pytest.raises(BadRequest, match="several"):
            _key([pair for value in values for pair in header(value)])

    def test_is_refused_where_no_answer_is_stored(self, settings):
        settings.IDEMPOTENCY_S = 0
        assert _key([]) is None
        with pytest.raises(BadRequest, match="keeps no answers"):
            _key(header("a"))

    def test_is_accepted_where_answers_are_stored_for_one_second(self, settings):
        settings.IDEMPOTENCY_S = 1
        assert _key(header("a")) == "a"


async def test_request_without_key_stores_nothing():
    turn = await acquire([], Organisation(), IMAGE, OPTIONS)
    assert isinstance(turn, Lease)
    async with turn as lease:
        await lease.keep(answer())  # without a database
        await lease.release()


def answer() -> Prediction:
    return Prediction.model_validate(prediction("a request"))


def test_stored_answers_are_read_with_same_secret_key_only(settings):
    """With another cipher, the answers stored before an upgrade would be lost."""
    settings.SECRET_KEY = "a secret key"
    stored = (
        b"gAAAAABpVbkAAAAAAAAAAAAAAAAAAAAAAAcrwSO_hfQqHs_eXolJJ5pP1XTMHZEi"
        b"Dq-d-TTZEVJ4qjLj4SHdkbbNegW4aXl9Bg=="
    )
    assert idempotency._cipher().decrypt(stored) == b"an answer"
    settings.SECRET_KEY = "another secret key"
    with pytest.raises(InvalidToken):
        idempotency._cipher().decrypt(stored)


@pytest.mark.django_db(transaction=True)
class TestAcquire:
    @pytest.fixture
    def clinic(self) -> Organisation:
        return organisation_named("a clinic")

    async def lease(self, clinic: Organisation, key: str = "a") -> Lease:
        turn = await acquire(header(key), clinic, IMAGE, OPTIONS)
        assert isinstance(turn, Lease)
        return turn

    async def test_replays_stored_answer(self, clinic):
        await (await self.lease(clinic)).keep(answer())
        turn = await acquire(header('"a"'), clinic, IMAGE, OPTIONS)
        assert turn == Replay(answer())

    async def test_conflicts_while_another_request_is_answered(self, clinic):
        await self.lease(clinic)
        with pytest.raises(Conflict):
            await self.lease(clinic)

    async def test_leases_each_key_and_organisation_separately(self, clinic):
        await self.lease(clinic)
        await self.lease(clinic, "b")
        await self.lease(await in_database(organisation_named, "another clinic"))

    @pytest.mark.parametrize(
        ("image", "options"),
        [
            (b"another image", OPTIONS),
            (IMAGE, PredictOptions(masks="none")),
            # The end of the options and the start of the image are told apart.
            (b"\n" + IMAGE, OPTIONS),
        ],
    )
    async def test_rejects_key_of_another_request(self, clinic, image, options):
        await self.lease(clinic)
        with pytest.raises(IdempotencyKeyReused):
            await acquire(header("a"), clinic, image, options)

    async def test_leases_again_after_error(self, clinic):
        with pytest.raises(ValueError, match="no answer"):
            async with await self.lease(clinic):
                raise ValueError("no answer")
        await self.lease(clinic)

    async def test_keeps_lease_without_error(self, clinic):
        async with await self.lease(clinic):
            pass
        with pytest.raises(Conflict):
            await self.lease(clinic)

    async def test_leases_again_after_expiry_of_lease(self, clinic, settings):
        settings.DEADLINE_S = 100
        before = timezone.now()
        await self.lease(clinic)
        row = await in_database(IdempotentRequest.objects.get)
        assert (
            timedelta(0) <= row.expires_at - before - timedelta(seconds=105) < timedelta(seconds=60)
        )
        await in_database(lambda: IdempotentRequest.objects.update(expires_at=timezone.now()))
        await self.lease(clinic)

    async def test_late_answer_does_not_affect_lease_of_later_request(self, clinic):
        late = await self.lease(clinic)
        await in_database(IdempotentRequest.objects.all().delete)
        await self.lease(clinic)
        await late.keep(answer())
        await late.release()
        with pytest.raises(Conflict):
            await self.lease(clinic)

    async def test_answer_is_stored_encrypted_for_configured_time(self, clinic, settings):
        settings.IDEMPOTENCY_S = 100
        before = timezone.now()
        await (await self.lease(clinic)).keep(answer())
        row = await in_database(IdempotentRequest.objects.get)
        assert (
            timedelta(0) <= row.expires_at - before - timedelta(seconds=100) < timedelta(seconds=60)
        )
        assert b"lesion" not in bytes(row.answer)
        assert b"fake" not in bytes(row.answer)

    async def test_failed_release_leaves_lease_to_expire(self, clinic, monkeypatch, caplog):
        lease = await self.lease(clinic)
        monkeypatch.setattr(idempotency, "_unanswered", lambda number: Broken())
        await lease.release()
        assert "left to expire" in caplog.text
        monkeypatch.undo()
        with pytest.raises(Conflict):
            await self.lease(clinic)

    async def test_release_leaves_stored_answer(self, clinic):
        lease = await self.lease(clinic)
        await lease.keep(answer())
        await lease.release()
        assert await acquire(header("a"), clinic, IMAGE, OPTIONS) == Replay(answer())

    async def test_leases_again_after_answer_of_other_secret_key(self, clinic, settings):
        await (await self.lease(clinic)).keep(answer())
        settings.SECRET_KEY = "another secret key"
        await (await self.lease(clinic)).keep(answer())
        assert await acquire(header("a"), clinic, IMAGE, OPTIONS) == Replay(answer())

    async def test_leases_again_after_answer_of_earlier_version(self, clinic):
        await self.lease(clinic)
        earlier = idempotency._cipher().encrypt(b"{}")
        await in_database(lambda: IdempotentRequest.objects.update(answer=earlier))
        await self.lease(clinic)
        with pytest.raises(Conflict):
            await self.lease(clinic)

    async def test_releases_lease_when_request_has_no_time_left(self, clinic):
        lease = await self.lease(clinic)
        with waiting_at_most(0.0):
            await lease.release()
        await self.lease(clinic)

    async def test_forgets_only_expired_requests(self, clinic):
        await self.lease(clinic, "a")
        await in_database(lambda: IdempotentRequest.objects.update(expires_at=timezone.now()))
        await self.lease(clinic, "b")
        await in_database(forget_expired)
        assert await in_database(IdempotentRequest.objects.count) == 1
        with pytest.raises(Conflict):
            await self.lease(clinic, "b")


class Broken:
    """A query whose database is away."""

    def delete(self) -> None:
        raise OperationalError("the disk is gone")


@pytest.mark.django_db(transaction=True)
class TestCancelledAcquire:
    async def cancelled(self, clinic: Organisation, monkeypatch) -> None:
        """Acquire, and leave while the database is at it."""
        at_it, goes_on, take = threading.Event(), threading.Event(), idempotency._acquire

        def wait_and_acquire(request):
            at_it.set()
            assert goes_on.wait(30)
            return take(request)

        monkeypatch.setattr(idempotency, "_acquire", wait_and_acquire)
        task = asyncio.create_task(acquire(header("a"), clinic, IMAGE, OPTIONS))
        assert await asyncio.to_thread(at_it.wait, 30)
        task.cancel()
        await asyncio.sleep(0)
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        monkeypatch.undo()

    @pytest.fixture
    def clinic(self) -> Organisation:
        return organisation_named("a clinic")

    async def test_leaves_no_lease(self, clinic, monkeypatch):
        await self.cancelled(clinic, monkeypatch)
        assert isinstance(await acquire(header("a"), clinic, IMAGE, OPTIONS), Lease)

    async def test_leaves_stored_answer(self, clinic, monkeypatch):
        turn = await acquire(header("a"), clinic, IMAGE, OPTIONS)
        await turn.keep(answer())
        await self.cancelled(clinic, monkeypatch)
        assert isinstance(await acquire(header("a"), clinic, IMAGE, OPTIONS), Replay)

    async def test_leaves_lease_of_another_request(self, clinic, monkeypatch):
        await acquire(header("a"), clinic, IMAGE, OPTIONS)
        await self.cancelled(clinic, monkeypatch)
        with pytest.raises(Conflict):
            await acquire(header("a"), clinic, IMAGE, OPTIONS)
