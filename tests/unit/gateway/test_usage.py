import asyncio
import logging
import threading
from uuid import uuid4

import pytest
from django.db import IntegrityError, OperationalError
from prometheus_client import REGISTRY

from gateway.access.caller import Caller
from gateway.database import DatabaseUnavailable, in_database
from gateway.people.models import Organisation
from gateway.usage import ledger
from gateway.usage.ledger import Entry
from gateway.usage.models import Record
from pipeline.errors import BadRequest, DeadlineExceeded, Overloaded

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def entry() -> Entry:
    return Entry(str(uuid4()))


@pytest.fixture
def caller() -> Caller:
    return Caller(Organisation.objects.named("a clinic"), frozenset({"predict"}), key_id="0" * 12)


async def only() -> Record:
    return await in_database(Record.objects.get)


async def test_an_admitted_request_is_on_record_before_it_is_answered(entry, caller):
    await entry.admit(caller)
    assert (await only()).state == "received"


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (None, "succeeded"),
        (BadRequest("x"), "rejected"),
        (Overloaded("x"), "shed"),
        (DeadlineExceeded("x"), "failed"),
    ],
)
async def test_the_error_decides_the_final_state(entry, caller, error, state):
    await entry.admit(caller)
    assert await entry.settle(error.status if error else 200, error) is error
    record = await only()
    assert record.state == state
    assert record.error_code == (error.code if error else "")


async def test_a_refused_request_is_one_row_too(entry):
    await entry.settle(400, BadRequest("x"))
    assert (await only()).state == "rejected"


async def test_the_first_final_state_stands(entry, caller):
    await entry.admit(caller)
    await entry.settle(200, None)
    await entry.abort()
    record = await only()
    assert (record.state, record.status) == ("succeeded", 200)


async def test_the_client_that_left_got_no_status(entry, caller):
    await entry.admit(caller)
    await entry.abort()
    record = await only()
    assert (record.state, record.status) == ("aborted", None)


async def test_an_admission_that_comes_too_late_leaves_a_row_for_the_sweeper(
    entry, caller, monkeypatch
):
    late, goes_on = ledger._admit, threading.Event()

    def admit(*arguments: object) -> None:
        goes_on.wait(30)
        late(*arguments)

    monkeypatch.setattr(ledger, "_admit", admit)
    monkeypatch.setattr("gateway.database.in_database.__kwdefaults__", {"within_s": 0.1})
    with pytest.raises(DatabaseUnavailable) as raised:
        await entry.admit(caller)
    await entry.settle(503, raised.value)
    goes_on.set()
    for _ in range(1000):
        if await in_database(Record.objects.exists, within_s=30):
            break
        await asyncio.sleep(0.01)
    assert (await in_database(Record.objects.get, within_s=30)).state == "received"


async def test_an_answer_that_cannot_be_recorded_is_withheld(entry, caller, monkeypatch, caplog):
    await entry.admit(caller)

    def fail(*arguments):
        raise OperationalError("the disk is gone")

    monkeypatch.setattr(Record.objects, "close", fail)
    with caplog.at_level(logging.ERROR):
        told = await entry.settle(200, None)
    assert isinstance(told, DatabaseUnavailable)
    assert str(entry.record.request_id) in caplog.text
    assert (await only()).state == "received"


async def test_a_request_id_is_recorded_once(entry, caller):
    await entry.admit(caller)
    twin = Record(request_id=entry.record.request_id)
    with pytest.raises(DatabaseUnavailable) as refusal:
        await in_database(twin.save)
    assert isinstance(refusal.value.__cause__, IntegrityError)


async def test_each_final_state_is_counted_once(entry, caller):
    labels = {"outcome": "rejected", "status": "418"}
    name = "lesionserve_gateway_requests_total"
    before = REGISTRY.get_sample_value(name, labels) or 0
    await entry.admit(caller)
    await entry.settle(418, BadRequest("x"))
    assert REGISTRY.get_sample_value(name, labels) == before + 1
