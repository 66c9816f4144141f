"""What clients may hold of the gateway, and for how long."""

import asyncio
import socket
import time

import pytest
from django.db import connections

from gateway.audit.models import Record
from tests.clinics import issue_key
from tests.integration.gateway.client import BOUNDARY, Gateway, form, head, jpeg, part
from tests.integration.gateway.ingress import FakeIngress, prediction
from tests.integration.gateway.records import assert_problem, assert_refused, the_record
from tests.integration.gateway.servers import running_gateway

IMAGE = form(part(jpeg()))


def request(key: str) -> bytes:
    media = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
    return head("POST /predict/", key, media, f"Content-Length: {len(IMAGE)}") + IMAGE


def test_body_that_stalls_times_out(gateway, ingress, key, monkeypatch):
    monkeypatch.setattr("gateway.body._WITHIN_S", 0.2)
    response = gateway.exchange(request(key)[:-10])
    assert_refused(response, 408, "request_timeout")
    assert ingress.sent == []


def test_form_of_page_that_stalls_times_out(gateway: Gateway, monkeypatch):
    monkeypatch.setattr("gateway.body._WITHIN_S", 0.2)
    response = gateway.exchange(head("POST /login/", "Content-Length: 100") + b"username=")
    assert_problem(response, 408, "request_timeout")


def test_client_that_does_not_read_loses_its_slot(ingress, key, monkeypatch):
    monkeypatch.setattr("gateway.middleware._SEND_WITHIN_S", 0.5)

    def large_once(sent) -> tuple[int, bytes]:
        ingress.answer = None
        answer = prediction(sent.headers["x-request-id"])
        answer["visualization"] = "A" * 2**24
        return FakeIngress.json(answer)

    ingress.answer = large_once
    url = f"http://127.0.0.1:{ingress.port}"
    with running_gateway(UPSTREAM_URL=url, MAX_IN_FLIGHT=1) as gateway, socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(("127.0.0.1", gateway.port))
        lazy.sendall(request(key))
        assert ingress.was_asked.wait(30)
        assert gateway.predict(IMAGE, key).status == 503
        for _ in range(100):
            if (status := gateway.predict(IMAGE, key).status) == 200:
                break
            time.sleep(0.1)
        assert status == 200


@pytest.fixture
def crowded(ingress: FakeIngress):
    """A gateway with room for four, and an ingress that keeps them waiting."""
    ingress.holds = True
    with running_gateway(
        UPSTREAM_URL=f"http://127.0.0.1:{ingress.port}", MAX_IN_FLIGHT=4, DEADLINE_S=30
    ) as gateway:
        yield gateway


def test_organisation_cannot_take_all_slots(crowded: Gateway, ingress, transactional_db):
    ours, theirs = (f"X-API-Key: {issue_key(organisation=name)[1]}" for name in ("a", "b"))
    waiting = [crowded.connect() for _ in range(4)]
    for connection in waiting[:3]:
        connection.sendall(request(ours))
    wait_for(ingress, 3)
    assert crowded.predict(IMAGE, ours).status == 503
    waiting[3].sendall(request(theirs))
    wait_for(ingress, 4)
    assert crowded.predict(IMAGE, theirs).status == 503
    for connection in waiting:
        connection.close()


def wait_for(ingress: FakeIngress, requests: int) -> None:
    for _ in range(3000):
        if len(ingress.sent) == requests:
            return
        time.sleep(0.01)
    raise AssertionError(f"only {len(ingress.sent)} requests came")


def test_swept_request_is_not_answered(gateway, ingress, key):
    """However that came about: a 200 is on record as one."""

    def sweep() -> None:
        record = Record.objects.get()
        record.state = "unknown"
        Record.objects.close(record)
        connections.close_all()

    async def swept(sent):
        await asyncio.to_thread(sweep)
        return FakeIngress().respond(sent)

    ingress.answer = swept
    assert gateway.predict(IMAGE, key).status == 503
    assert the_record().state == "unknown"
