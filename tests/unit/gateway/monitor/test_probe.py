import asyncio
import ssl
from uuid import UUID

import httpx
import pytest

from gateway.monitor import probe as module
from gateway.monitor.models import ProbeRun
from gateway.monitor.probe import Prober
from pipeline.errors import Unavailable
from pipeline.schemas import Problem
from tests.integration.gateway.client import jpeg
from tests.integration.gateway.ingress import DIGEST
from tests.unit.gateway.monitor.probes import ID, OTHER, SETTINGS, Clinic, answer, golden_set


def outcome(run: ProbeRun) -> tuple[str, str]:
    return str(run.result), run.error_code


def problem(status: int, code: str) -> httpx.Response:
    content = Problem(title="T", status=status, detail="A reason.", code=code, request_id=ID)
    return httpx.Response(status, json=content.model_dump(), headers={"X-Request-ID": ID})


async def test_expected_lesions_agree():
    run = await Clinic().prober().run(1)
    assert outcome(run) == ("agreed", "")
    assert (run.status, run.case, run.bundle_sha256) == (200, "b.jpg", DIGEST)
    assert run.request_id == UUID(ID)
    assert 0 < run.seconds < 60


async def test_agreement_within_tolerance_is_measured():
    run = await Clinic(answers=[answer(score=0.86)]).prober().run(0)
    assert run.agrees
    assert run.max_score_difference == pytest.approx(0.015)
    assert (run.min_mask_iou, run.max_box_pixels) == (1, 0)


async def test_image_is_sent_as_client_sends_it():
    clinic = Clinic()
    await clinic.prober().run(0)
    (request,) = clinic.requests
    assert str(request.url) == "http://gateway.example/predict/?masks=rle&visualization=none"
    assert request.method == "POST"
    assert request.headers["X-API-Key"] == SETTINGS.key
    assert request.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    assert b'name="file"' in request.content
    assert jpeg() in request.content


async def test_cases_take_turns():
    prober = Clinic().prober()
    assert [(await prober.run(turn)).case for turn in (7, 8, 9)] == ["b.jpg", "a.jpg", "b.jpg"]


async def test_long_name_of_case_fits_its_column():
    golden = golden_set()
    case = golden.cases[0].model_copy(update={"name": "x" * 251 + ".jpg"})
    clinic = Clinic(sets=[golden.model_copy(update={"cases": [case]})])
    run = await clinic.prober().run(0)
    assert run.agrees
    run.clean_fields()
    assert case.name.startswith(run.case)


async def test_golden_cases_are_fetched_once_for_model():
    clinic = Clinic()
    prober = clinic.prober()
    for turn in range(3):
        assert (await prober.run(turn)).agrees
    assert clinic.fetches == 1


async def test_score_beyond_tolerance_disagrees():
    run = await Clinic(answers=[answer(score=0.8)]).prober().run(0)
    assert outcome(run) == ("disagreed", "other_lesions")
    assert run.detail.startswith("golden case a.jpg: HSIL with score 0.875 was not found again")
    assert (run.status, run.request_id) == (200, UUID(ID))


async def test_new_model_is_probed_with_its_own_cases():
    image = jpeg(64, 49)
    clinic = Clinic(
        answers=[answer(), answer(OTHER, image=image)],
        sets=[golden_set(), golden_set(OTHER, image)],
    )
    prober = clinic.prober()
    assert (await prober.run(0)).agrees
    run = await prober.run(1)
    assert (run.result, run.bundle_sha256) == ("agreed", OTHER)
    assert (clinic.fetches, len(clinic.requests)) == (2, 3)
    assert image in clinic.requests[-1].content
    assert (await prober.run(2)).agrees
    assert clinic.fetches == 2


async def test_cases_of_other_precision_of_same_bundle_are_fetched():
    float32, int8 = golden_set(), golden_set()
    int8 = int8.model_copy(update={"score_threshold": 0.4})
    clinic = Clinic(answers=[answer(score=0.8), answer()], sets=[float32, int8])
    assert (await clinic.prober().run(0)).agrees
    assert clinic.fetches == 2


async def test_other_model_than_loaded_one_disagrees():
    clinic = Clinic(answers=[answer(OTHER)])
    run = await clinic.prober().run(0)
    assert outcome(run) == ("disagreed", "other_model")
    assert run.bundle_sha256 == OTHER
    assert (clinic.fetches, len(clinic.requests)) == (2, 1)


async def test_disagreement_stays_if_cases_cannot_be_fetched_again():
    clinic = Clinic(answers=[answer(OTHER)], sets=[golden_set(), Unavailable("Away.")])
    assert outcome(await clinic.prober().run(0)) == ("disagreed", "other_model")


async def test_probe_without_golden_cases_fails():
    clinic = Clinic(sets=[Unavailable("Away."), golden_set()])
    prober = clinic.prober()
    run = await prober.run(0)
    assert outcome(run) == ("failed", "no_golden")
    assert (run.status, run.seconds, run.request_id) == (None, None, None)
    assert "Away." in run.detail
    assert clinic.requests == []
    assert (await prober.run(1)).agrees


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (problem(503, "overloaded"), "overloaded"),
        (problem(401, "unauthorized"), "unauthorized"),
        (problem(429, "too_many_requests"), "too_many_requests"),
        (httpx.Response(502, text="<html>Bad gateway"), "no_prediction"),
        (httpx.Response(302, headers={"Location": "https://login.example"}), "no_prediction"),
        (httpx.Response(200, text="<html>Welcome"), "invalid_answer"),
        (httpx.ConnectError("refused"), "unreachable"),
        (httpx.ConnectTimeout("slow"), "timeout"),
        (httpx.ReadError("reset"), "unreachable"),
        (httpx.RemoteProtocolError("no HTTP"), "unreachable"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_answer_other_than_prediction_fails(response, code):
    run = await Clinic(answers=[response]).prober().run(0)
    assert outcome(run) == ("failed", code)
    assert run.status == (response.status_code if isinstance(response, httpx.Response) else None)
    assert run.detail


async def test_certificate_that_is_not_trusted_is_named():
    error = httpx.ConnectError("certificate verify failed")
    error.__cause__ = ssl.SSLCertVerificationError("self-signed")
    assert outcome(await Clinic(answers=[error]).prober().run(0)) == ("failed", "tls")


async def test_damaged_mask_of_answer_fails():
    damaged = answer().json()
    damaged["detections"][0]["mask"]["counts"] = "0o"
    run = await Clinic(answers=[httpx.Response(200, json=damaged)]).prober().run(0)
    assert outcome(run) == ("failed", "invalid_answer")


async def test_text_of_stranger_is_one_bounded_line():
    stranger = problem(503, "c" * 100).json() | {"detail": "a\x00b\n" + "d" * 5000}
    run = await Clinic(answers=[httpx.Response(503, json=stranger)]).prober().run(0)
    assert (len(run.error_code), len(run.detail)) == (64, 1000)
    assert run.detail.startswith("a b d")


async def test_probe_fails_if_answer_exceeds_byte_limit(monkeypatch):
    monkeypatch.setattr(module, "_MAX_ANSWER_BYTES", 100)
    assert outcome(await Clinic().prober().run(0)) == ("failed", "invalid_answer")


class Silent(httpx.AsyncBaseTransport):
    """A server that accepts a request and never answers."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError


async def test_hanging_probe_ends_at_deadline_and_margin(monkeypatch):
    monkeypatch.setattr(module, "_MARGIN_S", 0.05)
    prober = Prober(SETTINGS, 0.05, Clinic()._fetch, Silent())
    run = await asyncio.wait_for(prober.run(0), 30)
    assert outcome(run) == ("failed", "timeout")
    assert run.seconds >= 0.1


async def test_cancelled_probe_ends():
    probing = asyncio.create_task(Prober(SETTINGS, 30, Clinic()._fetch, Silent()).run(0))
    await asyncio.sleep(0.01)
    probing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probing
