import asyncio
import logging
import threading
from dataclasses import replace
from uuid import uuid4

import pytest
from django.db import IntegrityError, OperationalError
from django.utils import timezone
from prometheus_client import REGISTRY

from gateway.access.caller import Caller
from gateway.audit.models import Record
from gateway.body import ClientDisconnected
from gateway.context import RequestContext
from gateway.database import DatabaseUnavailable, in_database, waiting_at_most
from gateway.errors import TooManyRequests
from gateway.predict import recorder as module
from gateway.predict.recorder import RequestRecorder
from pipeline.errors import BadRequest, DeadlineExceeded, Overloaded
from pipeline.schemas import Prediction
from tests.clinics import organisation_named
from tests.integration.gateway.ingress import prediction

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
    assert (record.state, record.status, record.error_code) == ("aborted", None, "")


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

    def wait_and_close(record: Record, beside: object) -> bool:
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


async def test_record_has_address_and_ids_of_request():
    id_ = uuid4()
    await RequestRecorder(RequestContext(str(id_), "case-7"), "192.0.2.1").finish(None)
    record = await only()
    assert (record.request_id, record.correlation_id) == (id_, "case-7")
    assert record.address == "192.0.2.1"


async def test_record_says_when_request_ended_and_after_how_long(monkeypatch, caller):
    clock = iter([100.0, 100.25])
    monkeypatch.setattr(module, "perf_counter", lambda: next(clock))
    recorder = RequestRecorder(RequestContext(str(uuid4()), correlation_id=None))
    await recorder.admit(caller)
    before = timezone.now()
    await recorder.finish(None)
    record = await only()
    assert record.latency_ms == 250.0
    assert before <= record.finished_at <= timezone.now()
    assert record.correlation_id == ""


async def test_request_beyond_quota_is_not_admitted(recorder, caller):
    caller = replace(caller, requests_per_day=1)
    await RequestRecorder(RequestContext(str(uuid4()), None)).admit(caller)
    with pytest.raises(TooManyRequests):
        await recorder.admit(caller)
    assert await in_database(Record.objects.count) == 1
    assert recorder.record.pk is None


async def test_failed_admission_takes_nothing_from_quota(recorder, caller, monkeypatch):
    caller = replace(caller, requests_per_day=1)
    with monkeypatch.context() as patched:
        patched.setattr(Record, "save", fail)
        with pytest.raises(DatabaseUnavailable):
            await recorder.admit(caller)
    await recorder.admit(caller)


def fail(*_: object, **__: object) -> None:
    raise OperationalError("the disk is gone")


async def test_abort_is_recorded_when_request_has_no_time_left(recorder):
    with waiting_at_most(0.0):
        async with recorder:
            raise ClientDisconnected
    assert (await only()).state == "aborted"


async def test_other_error_leaves_context_after_abort(recorder, caller):
    await recorder.admit(caller)
    with pytest.raises(ValueError, match="a bug"):
        async with recorder:
            raise ValueError("a bug")
    assert (await only()).state == "aborted"


async def test_outage_of_database_is_logged_without_another_try(recorder, monkeypatch, caplog):
    monkeypatch.setattr(Record.objects, "close", None)
    outage = DatabaseUnavailable("The database is away.")
    with caplog.at_level(logging.INFO):
        assert await recorder.finish(outage) is outage
    lost, ended = [line.msg for line in caplog.records if line.name == module.__name__]
    assert lost["record"]["state"] == "failed"
    assert lost["record"]["error_code"] == ended["code"] == "database_unavailable"


async def test_record_closed_by_sweeper_withholds_answer(recorder, caller, caplog):
    await recorder.admit(caller)
    await in_database(lambda: Record.objects.update(state="unknown"))
    with caplog.at_level(logging.ERROR):
        error = await recorder.finish(None)
    assert isinstance(error, DatabaseUnavailable)
    assert recorder.record.error_code == "database_unavailable"
    assert str(recorder.record.request_id) in caplog.text
    assert (await only()).state == "unknown"


async def test_log_line_says_what_record_says(recorder, caller, caplog):
    recorder.record.set_caller(*caller.identity)
    recorder.record.correlation_id = "case-7"
    recorder.record.image_bytes = 1234
    recorder.record.count_attempt()
    answer = Prediction.model_validate(prediction("a request"))
    recorder.set_prediction(answer, "e" * 32)
    with caplog.at_level(logging.INFO):
        await recorder.finish(None)
    (line,) = [line.msg for line in caplog.records if line.name == module.__name__]
    assert line["latency_ms"] == round(recorder.record.latency_ms, 1)
    names = ("event", "state", "status", "code", "caller", "correlation_id", "attempts")
    assert {name: line[name] for name in (*names, "image_bytes", "detections")} == {
        "event": "request",
        "state": "succeeded",
        "status": 200,
        "code": "",
        "caller": f"key:{caller.key_id}",
        "correlation_id": "case-7",
        "attempts": 1,
        "image_bytes": 1234,
        "detections": 1,
    }
