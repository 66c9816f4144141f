import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO

import pytest
from django.core.management import call_command

from gateway.audit.models import Record
from pipeline.schemas import PredictOptions
from tests.integration.gateway.browser import answering, ungradable
from tests.integration.gateway.client import Gateway, form, head, jpeg, part
from tests.integration.gateway.ingress import (
    DIGEST,
    SOFTWARE,
    FakeIngress,
    Sent,
    prediction,
    problem,
)
from tests.integration.gateway.records import (
    assert_problem,
    assert_refused,
    the_final_record,
    the_record,
)
from tests.integration.gateway.servers import running_gateway
from tests.quality import statistics


def test_answer_is_that_of_ingress(gateway: Gateway, ingress, key):
    response = gateway.predict(form(part(jpeg())), key)

    assert response.status == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Content-Length"] == str(len(response.body))
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.json() == prediction(response.headers["X-Request-ID"])


def test_record_holds_all_but_image(gateway: Gateway, ingress, key):
    image = jpeg(64, 48)
    body = form(part(image))
    response = gateway.predict(body, key)

    record = the_record()
    assert str(record.request_id) == response.headers["X-Request-ID"]
    assert (record.state, record.status, record.error_code) == ("succeeded", 200, "")
    assert record.key_id == key.split("_")[1]
    assert (record.image_format, record.image_width, record.image_height) == ("JPEG", 64, 48)
    assert record.image_pixels == 64 * 48
    assert (record.body_bytes, record.image_bytes) == (len(body), len(image))
    assert (record.model_name, record.model_version) == ("fake", "7")
    assert (record.model_engine, record.model_precision) == ("portable", "float32")
    assert record.bundle_sha256 == DIGEST
    assert record.image_sha256 == hashlib.sha256(image).hexdigest()
    assert (record.model_score_threshold, record.model_software) == (0.5, SOFTWARE)
    assert record.ungradable_reasons is None
    assert record.options == PredictOptions().model_dump()
    assert (record.below_threshold, record.correlation_id) == (0, "")
    assert (record.detection_count, record.class_counts) == (1, {"LSIL": 0, "HSIL": 1})
    assert record.attempts == 1
    assert record.latency_ms > 0
    assert record.received_at <= record.finished_at


def test_record_counts_detections_below_threshold(gateway: Gateway, ingress, key):
    query = "?masks=none&visualization=none&score_threshold=1"
    answer = gateway.predict(form(part(jpeg())), key, query=query).json()
    options = {"masks": "none", "visualization": "none", "score_threshold": 1.0}
    assert (answer["options"], answer["below_threshold"]) == (options, 1)
    record = the_record()
    assert (record.options, record.below_threshold, record.detection_count) == (options, 1, 0)
    call_command("verify_audit", stdout=StringIO())


def test_quality_reaches_the_client(gateway: Gateway, ingress, key):
    ingress.answer = answering(lambda sent: ungradable(sent, "too_dark", "misted_up"))
    answer = gateway.predict(form(part(jpeg())), key).json()
    assert answer["quality"]["reasons"] == ["too_dark", "misted_up"]
    assert answer["quality"]["statistics"] == statistics().model_dump()
    record = the_record()
    assert (record.detection_count, record.ungradable_reasons) == (1, ["too_dark", "misted_up"])


def test_record_of_withheld_answer_counts_no_lesions(gateway: Gateway, ingress, key):
    ingress.answer = answering(lambda sent: ungradable(sent, "glare", withheld=True))
    assert gateway.predict(form(part(jpeg())), key).status == 200
    record = the_record()
    assert (record.state, record.detection_count, record.class_counts) == ("succeeded", None, {})
    call_command("verify_audit", stdout=StringIO())


def test_record_of_refused_image_holds_options(gateway: Gateway, ingress, key):
    assert_problem(
        gateway.predict(form(part(b"no image")), key, query="?masks=none"),
        415,
        "unsupported_image",
    )
    assert the_record().options["masks"] == "none"
    call_command("verify_audit", stdout=StringIO())


def test_record_names_model_that_answered_during_roll(gateway, ingress, key):
    digests = ["a" * 64, "b" * 64, "a" * 64]

    def answer(sent: Sent) -> tuple[int, bytes]:
        body = FakeIngress.predict(sent)
        body["model"]["bundle_sha256"] = digests[len(ingress.sent) - 1]
        return FakeIngress.json(body)

    ingress.answer = answer
    answers = [gateway.predict(form(part(jpeg())), key).json() for _ in digests]
    assert [body["model"]["bundle_sha256"] for body in answers] == digests
    records = [Record.objects.get(request_id=body["request_id"]) for body in answers]
    assert [record.bundle_sha256 for record in records] == digests
    # The weights, the name and the version are the same.
    assert {(record.model_name, record.model_version) for record in records} == {("fake", "7")}
    call_command("verify_audit", stdout=StringIO())


def test_ingress_gets_image_bytes_and_no_client_header(gateway: Gateway, ingress, key):
    image = jpeg()
    mine = ["X-Request-ID: mine", "X-Request-Timeout-Seconds: 0", "X-Forwarded-For: 1.2.3.4"]
    response = gateway.predict(
        form(part(image)), key, *mine, query="?masks=none&score_threshold=0.5"
    )

    (sent,) = ingress.sent
    assert sent.body == image
    assert sorted(sent.query.split("&")) == [
        "masks=none",
        "score_threshold=0.5",
        "visualization=jpeg",
    ]
    assert sent.headers["content-type"] == "image/jpeg"
    assert sent.headers["authorization"] == "Bearer a service token for nothing but tests"
    assert sent.headers["x-request-id"] == response.headers["X-Request-ID"] != "mine"
    assert 0 < int(sent.headers["x-deadline-ms"]) <= 29_000
    assert set(sent.headers) == {
        "host", "accept", "accept-encoding", "authorization", "connection", "content-length",
        "content-type", "user-agent", "x-deadline-ms", "x-request-id",
    }  # fmt: skip


def test_accepts_key_in_authorization_header(gateway: Gateway, ingress, key):
    header = key.replace("X-API-Key:", "Authorization: Api-Key")
    assert gateway.predict(form(part(jpeg())), header).status == 200


def test_image_errors_of_ingress_are_relayed(gateway: Gateway, ingress, key):
    ingress.answer = lambda sent: problem(sent, 422, "broken_image", "The image is cut off.")
    refusal = assert_refused(gateway.predict(form(part(jpeg())), key), 422, "broken_image")
    assert refusal["detail"] == "The image is cut off."
    assert the_record().attempts == 1


def test_shed_request_gets_retry_after(gateway: Gateway, ingress, key):
    ingress.answer = lambda sent: problem(sent, 503, "overloaded")
    response = gateway.predict(form(part(jpeg())), key)
    assert_refused(response, 503, "overloaded", "shed")
    assert response.headers["Retry-After"] == "2"


def test_ingress_without_model_is_unavailable(gateway: Gateway, ingress, key):
    ingress.answer = lambda sent: problem(sent, 503, "unavailable")
    response = gateway.predict(form(part(jpeg())), key)
    assert_refused(response, 503, "unavailable", "failed")
    assert response.headers["Retry-After"] == "2"


def test_refused_service_token_is_502(gateway: Gateway, ingress, key):
    ingress.answer = lambda sent: problem(sent, 401, "unauthorized")
    assert_refused(gateway.predict(form(part(jpeg())), key), 502, "upstream_fault", "failed")


def test_invalid_answers_of_ingress_are_not_relayed(gateway: Gateway, ingress: FakeIngress, key):
    def without(name: str, request_id: str) -> bytes:
        answer = prediction(request_id)
        del answer[name]
        return json.dumps(answer).encode()

    def nan(request_id: str) -> bytes:
        answer = prediction(request_id)
        answer["detections"][0]["score"] = float("nan")
        return json.dumps(answer).encode()

    def changed(part: str, **values: object) -> Callable[[Sent], tuple[int, bytes]]:
        def lie(sent: Sent) -> tuple[int, bytes]:
            answer = prediction(sent.headers["x-request-id"])
            there = answer["detections"][0] if part == "detections" else answer[part]
            there.update(values)
            return 200, json.dumps(answer).encode()

        return lie

    def replaced(**values: object) -> Callable[[Sent], tuple[int, bytes]]:
        def lie(sent: Sent) -> tuple[int, bytes]:
            return FakeIngress.json(prediction(sent.headers["x-request-id"]) | values)

        return lie

    def of_another(sent: Sent) -> tuple[int, bytes]:
        return problem(replace(sent, headers={"x-request-id": "another"}), 422, "broken_image")

    lies = [
        changed("metrics", class_distribution={"LSIL": 0, "HSIL": 10**30}),
        changed("metrics", class_distribution={"LSIL": -1, "HSIL": 1}),
        changed("metrics", scores=[-5.0]),
        changed("metrics", scores=[1e308]),
        changed("detections", label="nobody's"),
        changed("detections", label="HSIL\0"),
        changed("detections", score="0.875"),
        changed("detections", box_area=-1.0),
        changed("model", name="n" * 200),
        changed("model", bundle_sha256=""),
        changed("model", bundle_sha256="D" * 64),
        changed("image", width=65),
        changed("options", score_threshold=0.5),
        changed("options", masks="none"),
        replaced(below_threshold=1),
        replaced(below_threshold=10**30),
        replaced(correlation_id="another"),
        replaced(correlation_id=""),
        replaced(visualization=None),
        of_another,
        lambda sent: problem(sent, 422, "broken_image", "a reason\nof two lines"),
        lambda sent: problem(sent, 422, "broken_image", "x" * 1001),
        lambda sent: problem(sent, 422, "broken_image", "x" * 100_000),
        lambda sent: (200, b"<html>it works</html>"),
        lambda sent: (200, without("model", sent.headers["x-request-id"])),
        lambda sent: (200, nan(sent.headers["x-request-id"])),
        lambda sent: (200, json.dumps(prediction("another")).encode()),
        lambda sent: (302, b""),
        lambda sent: problem(sent, 422, "unheard_of"),
        lambda sent: problem(sent, 200, "broken_image"),
    ]
    for lie in lies:
        ingress.answer = lie
        assert_problem(gateway.predict(form(part(jpeg())), key), 502, "upstream_fault")


@pytest.mark.parametrize(
    ("query", "header", "changes"),
    [
        ("score_threshold=0.5", "", {"options": PredictOptions().model_dump()}),
        ("score_threshold=0.5", "", {"options": {"score_threshold": 0.25}}),
        ("masks=none", "", {"options": PredictOptions().model_dump()}),
        ("visualization=none", "", {"visualization": "AAAA"}),
        ("", "X-Correlation-Id: mine", {"correlation_id": None}),
        ("", "X-Correlation-Id: mine", {"correlation_id": "another"}),
    ],
)
def test_answer_to_another_request_is_refused(gateway, ingress, key, query, header, changes):
    ingress.answer = lambda sent: FakeIngress.json(FakeIngress.predict(sent) | changes)
    response = gateway.predict(
        form(part(jpeg())), key, *([header] if header else []), query="?" + query
    )
    assert_refused(response, 502, "upstream_fault", "failed")


def test_repeated_key_of_answer_is_not_relayed(gateway: Gateway, ingress: FakeIngress, key):
    """JSON may hold a key twice, of which only one is read."""

    def twice(sent: Sent) -> tuple[int, bytes]:
        whole = json.dumps(prediction(sent.headers["x-request-id"]))
        return 200, whole.replace("{", '{"visualization": NaN, ', 1).encode()

    ingress.answer = twice
    response = gateway.predict(form(part(jpeg())), key)
    assert response.status == 200
    assert b"NaN" not in response.body


def test_answer_of_later_version_is_accepted(gateway: Gateway, ingress, key):
    def later(sent: Sent) -> tuple[int, bytes]:
        body = FakeIngress.predict(sent) | {"new": [1]}
        for part_ in (body["model"], body["options"], body["detections"][0]["mask"]):
            part_["new"] = "x"
        return FakeIngress.json(body)

    ingress.answer = later
    response = gateway.predict(form(part(jpeg())), key)
    assert response.status == 200
    assert response.json() == prediction(response.headers["X-Request-ID"])

    def refusal(sent: Sent) -> tuple[int, bytes]:
        status, body = problem(sent, 422, "broken_image")
        return status, json.dumps(json.loads(body) | {"new": 1}).encode()

    ingress.answer = refusal
    assert_problem(gateway.predict(form(part(jpeg())), key), 422, "broken_image")


def test_image_is_sent_again_after_replica_death(gateway: Gateway, ingress, key):
    def once(sent):
        return FakeIngress().respond(sent) if len(ingress.sent) > 1 else (500, b"")

    ingress.answer = once
    assert gateway.predict(form(part(jpeg())), key).status == 200
    assert the_record().attempts == 2


def test_image_is_refused_as_poison_after_two_replica_deaths(gateway, ingress, key):
    ingress.answer = lambda sent: (500, b"Traceback (most recent call last):")
    response = gateway.predict(form(part(jpeg())), key)
    refusal = assert_refused(response, 502, "poison", "failed")
    assert "Traceback" not in refusal["detail"]
    assert the_record().attempts == 2


def test_slow_ingress_times_out_at_deadline(ingress: FakeIngress, key):
    ingress.holds = True
    url = f"http://127.0.0.1:{ingress.port}"
    with running_gateway(UPSTREAM_URL=url, DEADLINE_S=1) as gateway:
        response = gateway.predict(form(part(jpeg())), key)
    assert_refused(response, 504, "deadline_exceeded", "failed")
    assert 0 < int(ingress.sent[0].headers["x-deadline-ms"]) <= 900
    assert ingress.was_dropped.wait(30)


def test_gateway_without_ingress_is_alive_and_not_ready(key):
    with running_gateway(UPSTREAM_URL="http://127.0.0.1:1") as gateway:
        assert gateway.get("/healthz").json() == {"status": "ok"}
        assert_problem(gateway.get("/readyz"), 503, "not_ready")
        response = gateway.predict(form(part(jpeg())), key)
    assert_refused(response, 503, "unavailable", "failed")
    assert response.headers["Retry-After"] == "2"


def test_disconnect_is_recorded_and_cancels_inference(gateway: Gateway, ingress, key):
    ingress.holds = True
    body = form(part(jpeg()))
    request = head(
        "POST /predict/",
        key,
        "Content-Type: multipart/form-data; boundary=a-boundary",
        f"Content-Length: {len(body)}",
    )
    with gateway.connect() as connection:
        connection.sendall(request + body)
        assert ingress.was_asked.wait(30)
    assert ingress.was_dropped.wait(30)
    assert the_final_record().state == "aborted"


def test_disconnect_during_upload_is_recorded(gateway: Gateway, ingress, key):
    request = head(
        "POST /predict/",
        key,
        "Content-Type: multipart/form-data; boundary=a-boundary",
        "Content-Length: 100000",
    )
    with gateway.connect() as connection:
        connection.sendall(request + b"--a-boundary\r\n")
    assert the_final_record().state == "aborted"
    assert ingress.sent == []


@pytest.mark.parametrize(
    "name",
    [
        'filename="../../etc/passwd"',
        'filename="..\\\\..\\\\boot.ini"',
        'filename="a\0b"',
        "filename*=UTF-8''a%0d%0aX-Evil:%20yes",
        'filename="\u202egpj.exe"',
        'filename="<img onerror=alert(1)>"',
        "filename=müller.jpg",
    ],
)
def test_hostile_file_name_is_discarded(gateway: Gateway, key, name):
    response = gateway.predict(form(part(jpeg(), f'form-data; name="file"; {name}')), key)
    assert response.status == 200
    assert the_record().state == "succeeded"
