import json
from typing import Any

import pytest
from prometheus_client import REGISTRY

from gateway.audit.models import Event
from gateway.reviews.models import Verdict
from tests.clinics import issue_key
from tests.integration.gateway.client import Gateway, Response, form, head, jpeg, part
from tests.integration.gateway.records import assert_problem, the_record
from tests.integration.gateway.test_sessions import Browser, person

IMAGE = form(part(jpeg()))
# What the fake model finds in every image: one HSIL.
ACCEPTED = {"id": 0, "label": "HSIL", "verdict": "accept"}


@pytest.fixture
def reviewer(transactional_db: None) -> str:
    return f"X-API-Key: {issue_key('a reviewer', scopes=['feedback'])[1]}"


@pytest.fixture
def request_id(gateway: Gateway, key: str) -> str:
    """The id of a request that was answered."""
    return str(gateway.predict(IMAGE, key).json()["request_id"])


def post(gateway: Gateway, request_id: str, body: object, *headers: str) -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = ["Content-Type: application/json", f"Content-Length: {len(content)}", *headers]
    return gateway.exchange(head(f"POST /records/{request_id}/feedback", *lines) + content)


def counted(verdict: str) -> Any:
    name = "lesionserve_gateway_verdicts_total"
    return REGISTRY.get_sample_value(name, {"verdict": verdict})


def test_feedback_is_kept_and_read_again(gateway: Gateway, request_id, reviewer):
    before = counted("accept"), counted("missed")
    missed = [{"label": "LSIL", "box": [1, 2, 30, 40]}]
    response = post(gateway, request_id, {"lesions": [ACCEPTED], "missed": missed}, reviewer)
    assert response.status == 200, response.body
    assert response.headers["Cache-Control"] == "no-store"
    view = response.json()
    author = f"key:{reviewer.split('_')[1]}"
    (lesion,) = view["lesions"]
    given = ACCEPTED | {"new_label": None, "outline": None}
    assert lesion == given | {"by": author, "at": lesion["at"]}
    assert (view["request_id"], view["missed"][0]["box"]) == (request_id, [1, 2, 30, 40])
    assert gateway.get(f"/records/{request_id}/feedback", reviewer).json() == view
    assert (counted("accept"), counted("missed")) == (before[0] + 1, before[1] + 1)
    (event,) = Event.objects.filter(action="feedback.given")
    assert (event.actor, event.address) == (author, "127.0.0.1")


def test_feedback_sent_again_changes_nothing(gateway: Gateway, request_id, reviewer):
    before = counted("accept")
    answers = [post(gateway, request_id, {"lesions": [ACCEPTED]}, reviewer) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert (Verdict.objects.count(), counted("accept")) == (1, before + 1)
    assert Event.objects.filter(action="feedback.given").count() == 1


def test_caller_reads_own_version_and_everybodys_authors(gateway: Gateway, request_id, reviewer):
    outline = [[10, 10, 40, 10, 40, 30.123]]
    body = {
        "lesions": [ACCEPTED | {"outline": outline}],
        "ungradable": {"reason": "glare"},
        "comment": "Después del ácido acético",
        "version": 0,
    }
    view = post(gateway, request_id, body, reviewer).json()
    assert view["version"] == 1
    rounded = [[10, 10, 40, 10, 40, 30.12]]
    assert view["mine"] == {
        "lesions": [ACCEPTED | {"new_label": None, "outline": rounded}],
        "missed": None,
        "ungradable": {"reason": "glare"},
        "comment": "Después del ácido acético",
    }
    assert post(gateway, request_id, view["mine"], reviewer).json() == view  # nothing is new
    other = f"X-API-Key: {issue_key('another', scopes=['feedback'])[1]}"
    theirs = gateway.get(f"/records/{request_id}/feedback", other).json()
    assert (theirs["version"], theirs["mine"]) == (0, None)
    assert theirs["lesions"] == view["lesions"]
    (version,) = theirs["versions"]
    author = f"key:{reviewer.split('_')[1]}"
    assert version == {"version": 1, "by": author, "at": version["at"]}
    assert theirs["ungradable"] == [{"reason": "glare", "by": author, "at": version["at"]}]


def test_feedback_that_follows_old_version_is_a_conflict(gateway: Gateway, request_id, reviewer):
    for verdict, version in (("accept", 0), ("reject", 1)):
        body = {"lesions": [ACCEPTED | {"verdict": verdict}], "version": version}
        assert post(gateway, request_id, body, reviewer).status == 200
    stale = {"lesions": [ACCEPTED], "version": 1}
    response = post(gateway, request_id, stale, reviewer)
    problem = assert_problem(response, 409, "feedback_outdated")
    assert "Your latest version is 2" in problem["detail"]
    assert "Retry-After" not in response.headers
    assert Verdict.objects.get(replaced_at=None).kind == "reject"


def test_giving_needs_scope_and_reading_one_of_two(gateway: Gateway, key, request_id, reviewer):
    path, body = f"/records/{request_id}/feedback", {"lesions": [ACCEPTED]}
    reader = f"X-API-Key: {issue_key('a reader', scopes=['usage:read'])[1]}"
    assert_problem(post(gateway, request_id, body), 401, "unauthorized")
    for without in (key, reader):
        assert_problem(post(gateway, request_id, body, without), 403, "forbidden")
    assert not Verdict.objects.exists()
    assert_problem(gateway.get(path, key), 403, "forbidden")
    for may_read in (reader, reviewer):
        assert gateway.get(path, may_read).status == 200
    assert Event.objects.filter(subject=f"feedback:{request_id}").count() == 2


def test_answer_of_another_organisation_is_unknown(gateway: Gateway, request_id):
    stranger = f"X-API-Key: {issue_key(organisation='elsewhere', scopes=['feedback'])[1]}"
    response = post(gateway, request_id, {"lesions": [ACCEPTED]}, stranger)
    assert_problem(response, 404, "not_found")
    assert_problem(gateway.get(f"/records/{request_id}/feedback", stranger), 404, "not_found")
    assert not Verdict.objects.exists()


def test_clinician_judges_with_session_and_token(gateway: Gateway, request_id):
    person()
    browser = Browser(gateway)
    browser.sign_in()
    body, path = json.dumps({"lesions": [ACCEPTED]}).encode(), f"/records/{request_id}/feedback"
    kind = "Content-Type: application/json"
    assert_problem(browser.send(f"POST {path}", body, kind), 403, "forbidden")
    response = browser.send(f"POST {path}", body, kind, browser.token)
    assert response.status == 200, response.body
    assert response.json()["lesions"][0]["by"] == "user:nurse"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no JSON",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        {"lesions": [ACCEPTED | {"comment": "Jane Doe"}]},
        {"lesions": [ACCEPTED | {"id": "0"}]},
        {"lesions": [ACCEPTED, ACCEPTED]},
        b'{"lesions": [{"id": 0, "label": "\\ud800", "verdict": "accept"}]}',
        b'{"missed": [{"label": "HSIL", "box": [0, 0, 1, Infinity]}]}',
    ],
    ids=str,
)
def test_malformed_body_is_refused_without_echo(gateway: Gateway, request_id, reviewer, body):
    response = post(gateway, request_id, body, reviewer)
    problem = assert_problem(response, 400, "bad_request")
    assert "Jane Doe" not in problem["detail"]
    assert not Verdict.objects.exists()


def test_wrong_place_in_body_is_named(gateway: Gateway, request_id, reviewer):
    lesions = [ACCEPTED | {"verdict": "maybe"}]
    problem = assert_problem(
        post(gateway, request_id, {"lesions": lesions}, reviewer), 400, "bad_request"
    )
    assert problem["detail"].startswith("lesions.0.verdict: ")


def test_verdict_that_does_not_fit_record_is_refused(gateway: Gateway, request_id, reviewer):
    lesions = [ACCEPTED, {"id": 1, "label": "HSIL", "verdict": "reject"}]
    response = post(gateway, request_id, {"lesions": lesions}, reviewer)
    problem = assert_problem(response, 422, "feedback_mismatch")
    assert problem["detail"] == "There is no lesion 1: the answer has 1, counted from 0."
    assert not Verdict.objects.exists()


def test_refused_request_cannot_be_judged(gateway: Gateway, key, reviewer):
    assert gateway.predict(form(part(b"no image")), key).status == 415
    request_id = str(the_record().request_id)
    response = post(gateway, request_id, {"lesions": [ACCEPTED]}, reviewer)
    assert_problem(response, 422, "feedback_mismatch")


def test_body_larger_than_any_form_is_refused(gateway: Gateway, request_id, reviewer):
    response = post(gateway, request_id, b" " * 300_000, reviewer)
    assert_problem(response, 413, "body_too_large")


def test_reviews_of_the_same_image_are_found_by_digest(gateway: Gateway, key, reviewer):
    answers = [gateway.predict(IMAGE, key).json() for _ in range(2)]
    digest = answers[0]["image"]["sha256"]
    post(gateway, answers[0]["request_id"], {"lesions": [ACCEPTED]}, reviewer)
    view = gateway.get(f"/records/feedback?image_sha256={digest}", reviewer).json()
    (review,) = view["reviews"]
    assert (review["request_id"], review["mine"]) == (answers[0]["request_id"], True)
    assert (view["image_sha256"], view["next"]) == (digest, None)
    colleague = f"X-API-Key: {issue_key('a colleague', scopes=['usage:read'])[1]}"
    seen = gateway.get(f"/records/feedback?image_sha256={digest}", colleague).json()
    assert [(each["by"], each["mine"]) for each in seen["reviews"]] == [(review["by"], False)]


def test_reviews_of_image_need_scope_and_stay_in_organisation(gateway: Gateway, key, reviewer):
    answer = gateway.predict(IMAGE, key).json()
    post(gateway, answer["request_id"], {"lesions": [ACCEPTED]}, reviewer)
    path = f"/records/feedback?image_sha256={answer['image']['sha256']}"
    assert_problem(gateway.get(path), 401, "unauthorized")
    assert_problem(gateway.get(path, key), 403, "forbidden")
    stranger = f"X-API-Key: {issue_key(organisation='elsewhere', scopes=['feedback'])[1]}"
    assert gateway.get(path, stranger).json()["reviews"] == []
    later = f"{path}&before={answer['request_id']}"
    assert_problem(gateway.get(later, stranger), 404, "not_found")


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("", "'image_sha256' must be text that matches"),
        ("image_sha256=", "'image_sha256' must be text that matches"),
        (f"image_sha256={'A' * 64}", "'image_sha256' must be text that matches"),
        (f"image_sha256={'a' * 64}&limit=51", "'limit' must be a whole number from 1 to 50"),
        (f"image_sha256={'a' * 64}&before=1", "'before' must be a UUID"),
    ],
    ids=["missing", "empty", "capitals", "limit", "before"],
)
def test_wrong_query_for_reviews_of_an_image_is_named(gateway: Gateway, reviewer, query, wrong):
    problem = assert_problem(
        gateway.get(f"/records/feedback?{query}", reviewer), 400, "bad_request"
    )
    assert wrong in problem["detail"]
