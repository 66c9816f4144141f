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


def test_the_same_key_and_image_bring_the_same_answer_from_one_inference(
    gateway: Gateway, ingress: FakeIngress, key
):
    first, second = (gateway.predict(IMAGE, key, SAME) for _ in range(2))
    assert (first.status, second.status) == (200, 200)
    assert first.body == second.body
    assert second.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]
    assert len(ingress.sent) == 1
    records = Record.objects.order_by("received_at")
    assert [(one.state, one.attempts, one.replayed) for one in records] == [
        ("succeeded", 1, False),
        ("succeeded", 0, True),
    ]


def test_quotes_make_no_other_key(gateway: Gateway, ingress, key):
    gateway.predict(IMAGE, key, SAME)
    gateway.predict(IMAGE, key, 'Idempotency-Key: "one-of-a-kind"')
    assert len(ingress.sent) == 1


@pytest.mark.parametrize(
    ("body", "query"), [(form(part(jpeg(65))), ""), (IMAGE, "?masks=none")], ids=["image", "option"]
)
def test_another_request_under_the_same_key_is_refused(gateway, ingress, key, body, query):
    gateway.predict(IMAGE, key, SAME)
    assert_problem(gateway.predict(body, key, SAME, query=query), 422, "idempotency_key_reused")
    assert len(ingress.sent) == 1


def test_the_same_key_of_another_organisation_is_another(gateway: Gateway, ingress, key):
    other = f"X-API-Key: {issue_key(organisation='elsewhere')[1]}"
    for header in (key, other):
        assert gateway.predict(IMAGE, header, SAME).status == 200
    assert len(ingress.sent) == 2


def test_two_at_once_are_one_inference(gateway: Gateway, ingress: FakeIngress, key):
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


def test_a_failure_is_not_kept(gateway: Gateway, ingress: FakeIngress, key):
    ingress.answer = lambda sent: problem(sent, 503, "overloaded")
    assert gateway.predict(IMAGE, key, SAME).status == 503
    ingress.answer = None
    assert gateway.predict(IMAGE, key, SAME).status == 200
    assert len(ingress.sent) == 2


def test_a_client_that_left_may_ask_again(gateway: Gateway, ingress: FakeIngress, key):
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
def test_a_malformed_key_is_refused(gateway: Gateway, ingress, key, lines):
    assert_problem(gateway.predict(IMAGE, key, *lines), 400, "bad_request")
    assert ingress.sent == []


def test_what_is_kept_is_encrypted_and_names_nothing(gateway: Gateway, ingress, key):
    gateway.predict(IMAGE, key, SAME)
    (claim,) = IdempotentRequest.objects.all()
    kept = bytes(claim.answer) + claim.key_hash.encode() + claim.fingerprint.encode()
    assert b"HSIL" not in kept
    assert b"one-of-a-kind" not in kept


def test_it_is_kept_for_a_while_only(gateway: Gateway, ingress, key):
    gateway.predict(IMAGE, key, SAME)
    IdempotentRequest.objects.update(expires_at=timezone.now())
    assert gateway.predict(IMAGE, key, SAME).status == 200
    assert len(ingress.sent) == 2
    IdempotentRequest.objects.update(expires_at=timezone.now())
    forget_expired()
    assert not IdempotentRequest.objects.exists()


def test_the_claim_of_a_gateway_that_was_killed_is_taken_over(gateway, ingress, key):
    gateway.predict(IMAGE, key, SAME)
    IdempotentRequest.objects.update(answer=None, expires_at=timezone.now())
    assert gateway.predict(IMAGE, key, SAME).status == 200


def test_a_service_that_keeps_nothing_says_so(ingress: FakeIngress, transactional_db):
    header = f"X-API-Key: {issue_key()[1]}"
    url = f"http://127.0.0.1:{ingress.port}"
    with running_gateway(UPSTREAM_URL=url, IDEMPOTENCY_S=0) as gateway:
        assert_problem(gateway.predict(IMAGE, header, SAME), 400, "bad_request")
        assert gateway.predict(IMAGE, header).status == 200


def test_whoever_took_too_long_leaves_the_next_ones_answer_alone(gateway, ingress, key):
    """Its claim expired while it worked, and another request has claimed the key since."""

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


def test_an_answer_under_another_secret_is_as_good_as_not_kept(gateway, ingress, key, settings):
    gateway.predict(IMAGE, key, SAME)
    settings.SECRET_KEY = "another secret key, since this one was rotated"
    assert gateway.predict(IMAGE, key, SAME).status == 200
    assert len(ingress.sent) == 2
    assert gateway.predict(IMAGE, key, SAME).status == 200
    assert len(ingress.sent) == 2


def test_an_answer_of_an_earlier_version_is_as_good_as_not_kept(gateway, ingress, key):
    answer = gateway.predict(IMAGE, key, SAME).json()
    del answer["options"]
    encrypted = _cipher().encrypt(json.dumps(answer).encode())
    IdempotentRequest.objects.update(answer=encrypted)
    response = gateway.predict(IMAGE, key, SAME)
    assert (response.status, response.headers["Idempotent-Replayed"]) == (200, None)
    assert len(ingress.sent) == 2
    assert gateway.predict(IMAGE, key, SAME).headers["Idempotent-Replayed"] == "true"
    assert len(ingress.sent) == 2


def test_a_quoted_key_may_hold_escapes(gateway, ingress, key):
    for line in ('Idempotency-Key: "a\\"b"', 'Idempotency-Key: "a\\\\b"'):
        assert gateway.predict(IMAGE, key, line).status == 200
    assert len(ingress.sent) == 2


def test_a_client_that_left_while_its_claim_was_made_may_ask_again(
    gateway, ingress, key, monkeypatch
):
    claimed, goes_on = threading.Event(), threading.Event()

    def claim(once):
        made = _acquire(once)
        claimed.set()
        goes_on.wait(30)
        return made

    monkeypatch.setattr("gateway.predict.idempotency._acquire", claim)
    with gateway.connect() as connection:
        connection.sendall(gateway_request(key))
        assert claimed.wait(30)
    time.sleep(0.3)  # until the gateway has noticed that it left
    goes_on.set()
    monkeypatch.undo()
    for _ in range(100):
        if (status := gateway.predict(IMAGE, key, SAME).status) != 409:
            break
        time.sleep(0.05)
    assert status == 200
