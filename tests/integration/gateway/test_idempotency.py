import asyncio
import json
import threading
import time

import pytest
from django.db import connections
from django.utils import timezone

from gateway.audit.models import Record
from gateway.predict.idempotency import _acquire, _cipher, forget_expired
from gateway.predict.models import IdempotentRequest
from tests.clinics import issue_key
from tests.integration.gateway.client import BOUNDARY, Gateway, form, head, jpeg, part
from tests.integration.gateway.ingress import FakeIngress, problem
from tests.integration.gateway.records import assert_problem
from tests.integration.gateway.servers import running_gateway

IMAGE = form(part(jpeg()))
OTHER = form(part(jpeg(80, 60)))
SAME = "Idempotency-Key: one-of-a-kind"


def test_same_key_and_image_replay_first_answer(gateway: Gateway, ingress: FakeIngress, key):
    first, second = (gateway.predict(IMAGE, key, SAME) for _ in range(2))
    assert (first.status, second.status) == (200, 200)
    assert first.body == second.body
    assert second.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]
    assert len(ingress.sent) == 1
    records = Record.objects.order_by("received_at")
    assert [(record.state, record.attempts, record.replayed) for record in records] == [
        ("succeeded", 1, False),
        ("succeeded", 0, True),
    ]


def test_quoted_key_equals_unquoted_key(gateway: Gateway, ingress, key):
    gateway.predict(IMAGE, key, SAME)
    gateway.predict(IMAGE, key, 'Idempotency-Key: "one-of-a-kind"')
    assert len(ingress.sent) == 1


@pytest.mark.parametrize(
    ("body", "query"), [(form(part(jpeg(65))), ""), (IMAGE, "?masks=none")], ids=["image", "option"]
)
def test_key_of_another_request_is_refused(gateway, ingress, key, body, query):
    gateway.predict(IMAGE, key, SAME)
    assert_problem(gateway.predict(body, key, SAME, query=query), 422, "idempotency_key_reused")
    assert len(ingress.sent) == 1


def test_key_is_separate_for_each_organisation(gateway: Gateway, ingress, key):
    other = f"X-API-Key: {issue_key(organisation='elsewhere')[1]}"
    for header in (key, other):
        assert gateway.predict(IMAGE, header, SAME).status == 200
    assert len(ingress.sent) == 2


def test_concurrent_request_of_same_key_gets_conflict(gateway: Gateway, ingress: FakeIngress, key):
    goes_on = threading.Event()

    def answer(sent):
        assert goes_on.wait(30)
        return FakeIngress().respond(sent)

    ingress.answer = answer
    answers = []
    first = threading.Thread(target=lambda: answers.append(gateway.predict(IMAGE, key, SAME)))
    first.start()
    assert ingress.was_asked.wait(30)
    response = gateway.predict(IMAGE, key, SAME)
    assert_problem(response, 409, "conflict")
    assert response.headers["Retry-After"]
    goes_on.set()
    first.join(30)
    assert answers[0].status == 200
    assert len(ingress.sent) == 1


def test_failure_is_not_replayed(gateway: Gateway, ingress: FakeIngress, key):
    ingress.answer = lambda sent: problem(sent, 503, "overloaded")
    assert gateway.predict(IMAGE, key, SAME).status == 503
    ingress.answer = None
    assert gateway.predict(IMAGE, key, SAME).status == 200
    assert len(ingress.sent) == 2


def test_key_of_aborted_request_can_be_reused(gateway: Gateway, ingress: FakeIngress, key):
    ingress.holds = True
    with gateway.connect() as connection:
        connection.sendall(gateway_request(key))
        assert ingress.was_asked.wait(30)
    assert ingress.was_dropped.wait(30)
    ingress.holds = False
    for _ in range(100):
        response = gateway.predict(IMAGE, key, SAME)
        if response.status != 409:  # until the gateway has noticed
            break
    assert response.status == 200


def gateway_request(key: str) -> bytes:
    media = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
    return head("POST /predict/", key, SAME, media, f"Content-Length: {len(IMAGE)}") + IMAGE


@pytest.mark.parametrize(
    "lines",
    [
        ["Idempotency-Key:"],
        ["Idempotency-Key: " + "a" * 256],
        ["Idempotency-Key: ключ"],
        ['Idempotency-Key: "unfinished'],
        [SAME, SAME],
    ],
)
def test_malformed_idempotency_key_is_refused(gateway: Gateway, ingress, key, lines):
    assert_problem(gateway.predict(IMAGE, key, *lines), 400, "bad_request")
    assert ingress.sent == []


def test_stored_answer_is_encrypted_and_key_is_hashed(gateway: Gateway, ingress, key):
    gateway.predict(IMAGE, key, SAME)
    (request,) = IdempotentRequest.objects.all()
    stored = bytes(request.answer) + request.key_hash.encode() + request.fingerprint.encode()
    assert b"HSIL" not in stored
    assert b"one-of-a-kind" not in stored


def test_stored_answer_expires(gateway: Gateway, ingress, key):
    gateway.predict(IMAGE, key, SAME)
    IdempotentRequest.objects.update(expires_at=timezone.now())
    assert gateway.predict(IMAGE, key, SAME).status == 200
    assert len(ingress.sent) == 2
    IdempotentRequest.objects.update(expires_at=timezone.now())
    forget_expired()
    assert not IdempotentRequest.objects.exists()


def test_lease_of_killed_gateway_is_taken_over(gateway, ingress, key):
    gateway.predict(IMAGE, key, SAME)
    IdempotentRequest.objects.update(answer=None, expires_at=timezone.now())
    assert gateway.predict(IMAGE, key, SAME).status == 200


def test_key_is_refused_where_replay_is_off(ingress: FakeIngress, transactional_db):
    header = f"X-API-Key: {issue_key()[1]}"
    url = f"http://127.0.0.1:{ingress.port}"
    with running_gateway(UPSTREAM_URL=url, IDEMPOTENCY_S=0) as gateway:
        assert_problem(gateway.predict(IMAGE, header, SAME), 400, "bad_request")
        assert gateway.predict(IMAGE, header).status == 200


def test_expired_lease_does_not_overwrite_next_answer(gateway, ingress, key):
    """Its lease expired while it worked, and another request has acquired the key since."""

    def overtake() -> int:
        IdempotentRequest.objects.update(expires_at=timezone.now())
        connections.close_all()
        return gateway.predict(OTHER, key, SAME).status

    async def overtaken(sent):
        ingress.answer = None
        assert await asyncio.to_thread(overtake) == 200
        return FakeIngress().respond(sent)

    ingress.answer = overtaken
    assert gateway.predict(IMAGE, key, SAME).status == 200
    assert gateway.predict(OTHER, key, SAME).status == 200
    assert len(ingress.sent) == 2
    assert gateway.predict(IMAGE, key, SAME).status == 422


def test_answer_under_another_secret_is_not_replayed(gateway, ingress, key, settings):
    gateway.predict(IMAGE, key, SAME)
    settings.SECRET_KEY = "another secret key, since this one was rotated"
    assert gateway.predict(IMAGE, key, SAME).status == 200
    assert len(ingress.sent) == 2
    assert gateway.predict(IMAGE, key, SAME).status == 200
    assert len(ingress.sent) == 2


def test_answer_of_earlier_version_is_not_replayed(gateway, ingress, key):
    answer = gateway.predict(IMAGE, key, SAME).json()
    del answer["options"]
    encrypted = _cipher().encrypt(json.dumps(answer).encode())
    IdempotentRequest.objects.update(answer=encrypted)
    response = gateway.predict(IMAGE, key, SAME)
    assert (response.status, response.headers["Idempotent-Replayed"]) == (200, None)
    assert len(ingress.sent) == 2
    assert gateway.predict(IMAGE, key, SAME).headers["Idempotent-Replayed"] == "true"
    assert len(ingress.sent) == 2


def test_quoted_key_may_hold_escapes(gateway, ingress, key):
    for line in ('Idempotency-Key: "a\\"b"', 'Idempotency-Key: "a\\\\b"'):
        assert gateway.predict(IMAGE, key, line).status == 200
    assert len(ingress.sent) == 2


def test_abort_while_lease_is_acquired_frees_key(gateway, ingress, key, monkeypatch):
    acquired, goes_on = threading.Event(), threading.Event()

    def acquire(once):
        turn = _acquire(once)
        acquired.set()
        goes_on.wait(30)
        return turn

    monkeypatch.setattr("gateway.predict.idempotency._acquire", acquire)
    with gateway.connect() as connection:
        connection.sendall(gateway_request(key))
        assert acquired.wait(30)
    time.sleep(0.3)  # until the gateway has noticed that it left
    goes_on.set()
    monkeypatch.undo()
    for _ in range(100):
        if (status := gateway.predict(IMAGE, key, SAME).status) != 409:
            break
        time.sleep(0.05)
    assert status == 200
