import asyncio
import logging
import threading
from uuid import uuid4

import pytest
from django.db import IntegrityError, OperationalError
from prometheus_client import REGISTRY

from gateway.access.caller import Caller
from gateway.audit.models import Record
from gateway.body import ClientDisconnected
from gateway.context import RequestContext
from gateway.database import DatabaseUnavailable, in_database
from gateway.predict import recorder as module
from gateway.predict.recorder import RequestRecorder
from pipeline.errors import BadRequest, DeadlineExceeded, Overloaded
from tests.clinics import organisation_named

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def recorder() -> RequestRecorder:
    return RequestRecorder(RequestContext(str(uuid4()), correlation_id=None))


@pytest.fixture
def caller() -> Caller:
    return Caller(organisation_named("a clinic"), frozenset({"predict"}), key_id="0" * 12)


async def only() -> Record:
    return await in_database(Record.objects.get)


async def test_admitted_request_is_recorded_before_its_answer(recorder, caller):
    await recorder.admit(caller)
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
async def test_error_decides_final_state(recorder, caller, error, state):
    await recorder.admit(caller)
    assert await recorder.finish(error) is error
    record = await only()
    assert record.state == state
    assert record.error_code == (error.code if error else "")


async def test_refused_request_has_one_record(recorder):
    await recorder.finish(BadRequest("x"))
    assert (await only()).state == "rejected"


async def test_first_final_state_stays_when_client_leaves(recorder, caller):
    async with recorder:
        await recorder.admit(caller)
        await recorder.finish(None)
        raise ClientDisconnected
    record = await only()
    assert (record.state, record.status) == ("succeeded", 200)


async def test_aborted_request_has_no_status(recorder, caller):
    async with recorder:
        await recorder.admit(caller)
        raise ClientDisconnected
    record = await only()
    assert (record.state, record.status) == ("aborted", None)


async def test_cancelled_request_is_recorded_once_as_aborted(recorder, caller):
    admission = asyncio.Event()

    async def request() -> None:
        async with recorder:
            await recorder.admit(caller)
            admission.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(request())
    await admission.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()  # while it is being recorded
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(1000):
        if (record := await only()).state != "received":
            break
        await asyncio.sleep(0.01)
    assert (record.state, record.status) == ("aborted", None)


async def test_cancellation_while_finishing_keeps_final_state(recorder, caller, monkeypatch):
    goes_on, close = threading.Event(), Record.objects.close
    closing = threading.Event()

    def wait_and_close(record: Record) -> bool:
        closing.set()
        assert goes_on.wait(30)
        return close(record)

    monkeypatch.setattr(Record.objects, "close", wait_and_close)

    async def request() -> None:
        async with recorder:
            await recorder.admit(caller)
            await recorder.finish(None)

    task = asyncio.create_task(request())
    await asyncio.to_thread(closing.wait, 30)
    task.cancel()
    await asyncio.sleep(0)
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await only()).state == "succeeded"


async def test_late_admission_leaves_open_record_for_sweeper(recorder, caller, monkeypatch):
    late, goes_on = module._admit, threading.Event()

    def admit(*arguments: object) -> None:
        goes_on.wait(30)
        late(*arguments)

    monkeypatch.setattr(module, "_admit", admit)
    monkeypatch.setattr("gateway.database.in_database.__kwdefaults__", {"within_s": 0.1})
    with pytest.raises(DatabaseUnavailable) as raised:
        await recorder.admit(caller)
    await recorder.finish(raised.value)
    goes_on.set()
    for _ in range(1000):
        if await in_database(Record.objects.exists, within_s=30):
            break
        await asyncio.sleep(0.01)
    assert (await in_database(Record.objects.get, within_s=30)).state == "received"


async def test_answer_that_cannot_be_recorded_is_withheld(recorder, caller, monkeypatch, caplog):
    await recorder.admit(caller)

    def fail(*arguments):
        raise OperationalError("the disk is gone")

    monkeypatch.setattr(Record.objects, "close", fail)
    with caplog.at_level(logging.ERROR):
        error = await recorder.finish(None)
    assert isinstance(error, DatabaseUnavailable)
    assert str(recorder.record.request_id) in caplog.text
    assert (await only()).state == "received"


async def test_abort_that_cannot_be_recorded_is_logged(recorder, caller, monkeypatch, caplog):
    def fail(*arguments):
        raise OperationalError("the disk is gone")

    monkeypatch.setattr(Record.objects, "close", fail)
    with caplog.at_level(logging.ERROR):
        async with recorder:
            await recorder.admit(caller)
            raise ClientDisconnected
    (line,) = [line.msg for line in caplog.records if "record" in line.msg]
    assert line["record"]["state"] == "aborted"
    assert line["record"]["request_id"] == recorder.record.request_id


async def test_second_record_of_request_id_is_refused(recorder, caller):
    await recorder.admit(caller)
    twin = Record(request_id=recorder.record.request_id)
    with pytest.raises(DatabaseUnavailable) as refusal:
        await in_database(twin.save)
    assert isinstance(refusal.value.__cause__, IntegrityError)


async def test_final_state_is_counted_once(recorder, caller):
    labels = {"outcome": "rejected", "source": "client"}
    name = "lesionserve_gateway_requests_total"
    before = REGISTRY.get_sample_value(name, labels) or 0
    await recorder.admit(caller)
    await recorder.finish(BadRequest("x"))
    assert REGISTRY.get_sample_value(name, labels) == before + 1
