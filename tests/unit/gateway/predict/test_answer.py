"""What the ingress says is an answer to this request, or an error of ours."""

import json
from hashlib import sha256

import pytest

from gateway.errors import (
    UpstreamDisconnected,
    UpstreamFault,
    UpstreamInterrupted,
    UpstreamUnreached,
)
from gateway.predict.answer import error_for_status, parse_prediction, parse_problem
from gateway.predict.image_request import ImageRequest
from pipeline.errors import (
    BadRequest,
    BrokenImage,
    DeadlineExceeded,
    ImageTooLarge,
    LesionserveError,
    Overloaded,
    PoisonImage,
    Unauthorized,
    Unavailable,
    UnsupportedImage,
)
from pipeline.image.inspect import Header
from pipeline.schemas import PredictOptions, Problem
from tests.integration.gateway.client import jpeg
from tests.integration.gateway.ingress import prediction

ID = "0b0a7a4e-5a0e-4c0e-9a52-1f0c6a3f6a52"
HEADER = Header("JPEG", 64, 48)
OPTIONS = PredictOptions()
NOT_VALID = "no valid answer"
ANOTHER = "answered another request"


def body(**changes: object) -> bytes:
    return json.dumps({**prediction(ID), **changes}).encode()


def parse(
    content: bytes,
    header: Header = HEADER,
    options: PredictOptions = OPTIONS,
    correlation_id: str | None = None,
    image: bytes = jpeg(),
) -> object:
    request = ImageRequest(image, sha256(image).hexdigest(), header, options, ID, correlation_id)
    return parse_prediction(content, request)


def test_reads_answer_to_this_request():
    assert parse(body()).model_dump(mode="json") == prediction(ID)


def test_leaves_out_fields_of_later_version():
    assert parse(body(new="x")).model_dump(mode="json") == prediction(ID)


def test_accepts_either_orientation_of_image():
    assert parse(body(), Header("JPEG", 48, 64))


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", body(detections=None), body(below_threshold="0")]
)
def test_rejects_content_that_is_no_prediction(content: bytes):
    with pytest.raises(UpstreamFault, match=NOT_VALID):
        parse(content)


@pytest.mark.parametrize(
    "arguments",
    [
        (body(request_id=ID[::-1]), HEADER, OPTIONS),
        (body(correlation_id="case-7"), HEADER, OPTIONS),
        (body(), Header("PNG", 64, 48), OPTIONS),
        (body(), Header("JPEG", 64, 49), OPTIONS),
        (body(), HEADER, PredictOptions(masks="none")),
        (body(), HEADER, PredictOptions(score_threshold=0.3)),
    ],
    ids=["request", "correlation id", "format", "size", "masks", "threshold"],
)
def test_rejects_answer_to_another_request(arguments):
    with pytest.raises(UpstreamFault, match=ANOTHER):
        parse(*arguments)


def test_rejects_answer_without_its_correlation_id():
    with pytest.raises(UpstreamFault, match=ANOTHER):
        parse(body(), correlation_id="case-7")


def test_rejects_answer_of_another_image_of_the_same_size():
    with pytest.raises(UpstreamFault, match=ANOTHER):
        parse(body(), image=jpeg() + b"x")


def test_accepts_answer_of_older_serving_half_without_digest():
    older = prediction(ID)
    del older["image"]["sha256"]
    assert parse(json.dumps(older).encode(), image=b"any")


@pytest.mark.parametrize("asked", ["jpeg", "none"])
def test_rejects_missing_or_unrequested_picture(asked: str):
    options = PredictOptions(visualization=asked)
    whole = prediction(ID, options=options)
    assert parse(json.dumps(whole).encode(), options=options)
    other = "AAAA" if whole["visualization"] is None else None
    with pytest.raises(UpstreamFault, match=NOT_VALID):
        parse(json.dumps({**whole, "visualization": other}).encode(), options=options)


def test_rejects_model_without_digest():
    model = {**prediction(ID)["model"], "bundle_sha256": ""}
    with pytest.raises(UpstreamFault, match="valid answer"):
        parse(body(model=model))


RELAYED = (
    BadRequest,
    UnsupportedImage,
    BrokenImage,
    ImageTooLarge,
    Overloaded,
    Unavailable,
    PoisonImage,
    DeadlineExceeded,
)


def problem(error: LesionserveError, **changes: object) -> bytes:
    return Problem.of(error, ID, None).model_copy(update=changes).model_dump_json().encode()


@pytest.mark.parametrize("kind", RELAYED)
@pytest.mark.parametrize("detail", ["A reason.", "x" * 1000])
def test_relays_refusal_of_ingress(kind: type[LesionserveError], detail: str):
    error = parse_problem(kind.status, problem(kind(detail)), ID)
    assert type(error) is kind
    assert str(error) == detail


def test_relays_refusal_with_fields_of_later_version():
    content = json.dumps({**json.loads(problem(BadRequest("A reason."))), "new": 1}).encode()
    assert str(parse_problem(400, content, ID)) == "A reason."


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (401, problem(Unauthorized("x", "Bearer"))),
        (BadRequest.status + 1, problem(BadRequest("x"))),
        (BadRequest.status, problem(BadRequest("x"), request_id="another")),
        (BadRequest.status, problem(BadRequest("x\x1b[2J"))),
        (BadRequest.status, problem(BadRequest("x" * 1001))),
        (BadRequest.status, problem(BadRequest("x"), code="unheard_of")),
    ],
    ids=["our token", "status", "request", "control character", "length", "code"],
)
def test_hides_refusal_that_cannot_be_relayed(status: int, content: bytes):
    error = parse_problem(status, content, ID)
    assert type(error) is UpstreamFault
    assert str(error) == "The inference service failed."


@pytest.mark.parametrize(
    "content",
    [b"", b"Internal Server Error", b"{}", problem(BadRequest("x")).replace(b"400", b'"400"')],
)
def test_reads_only_status_of_malformed_problem(content: bytes):
    assert type(parse_problem(429, content, ID)) is Overloaded


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (502, "unreached", UpstreamUnreached),
        (429, "unreached", UpstreamUnreached),
        (502, "interrupted", UpstreamInterrupted),
        (502, "upstream_fault", UpstreamFault),
    ],
)
def test_problem_of_proxy_says_whether_image_was_sent(status, code, kind):
    # The proxy does not know the request's id.
    problem = Problem(title="T", status=status, detail="D.", code=code, request_id="x")
    assert type(parse_problem(status, problem.model_dump_json().encode(), ID)) is kind


def test_ingress_that_does_not_know_its_path_is_at_fault():
    error = parse_problem(404, problem(BadRequest("x")).replace(b"400", b"404"), ID)
    assert type(error) is UpstreamFault


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (429, Overloaded, "is at capacity; try again"),
        (503, Overloaded, "is at capacity; try again"),
        (408, DeadlineExceeded, "did not finish in time"),
        (504, DeadlineExceeded, "did not finish in time"),
        (404, UpstreamUnreached, "has no application"),
        (502, UpstreamInterrupted, "cannot be reached"),
        (500, UpstreamDisconnected, "broke off; try again"),
        (599, UpstreamDisconnected, "broke off; try again"),
        (499, UpstreamFault, "failed"),
        (301, UpstreamFault, "failed"),
    ],
)
def test_status_alone_decides_error(status: int, kind: type[LesionserveError], words: str):
    error = error_for_status(status)
    assert type(error) is kind
    assert str(error) == f"The inference service {words}."
