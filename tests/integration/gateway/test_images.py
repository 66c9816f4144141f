"""Every kind of image through both halves: a gateway and an ingress on real sockets, and the real
pipeline behind them but for its weights."""

import re
from collections.abc import Iterator

import pytest
from django.conf import settings

from tests.fakes import FAILS, open_fake_bundle, png
from tests.images import BOMBS, BROKEN, FOREIGN, ORDINARY, encoded, exif, picture
from tests.integration.gateway.client import Gateway, form, part
from tests.integration.gateway.records import assert_refused, the_record
from tests.integration.gateway.servers import running_gateway, serving

routes = pytest.importorskip("serve_app.routes", reason="the serve extra is not installed")

from serve_app.graph import FusedGraph  # noqa: E402
from serve_app.tokens import Tokens  # noqa: E402
from tests.unit.serve_app.test_stages import app_args  # noqa: E402

FINE = ORDINARY | {
    "JPEG with a patient's name": encoded(picture(), "JPEG", exif=exif(99)),
    "PNG with more behind its end": encoded(picture(), "PNG") + b"more",
}


@pytest.fixture(scope="module")
def _halves(django_db_setup: None) -> Iterator[Gateway]:
    graph = FusedGraph(app_args(), open_fake_bundle)
    ingress = routes.Routes(graph, Tokens(settings.SERVICE_TOKEN), app_args()).app()
    with (
        serving(ingress, lifespan="off") as port,
        running_gateway(UPSTREAM_URL=f"http://127.0.0.1:{port}") as gateway,
    ):
        yield gateway


@pytest.fixture
def halves(_halves: Gateway, transactional_db: None) -> Gateway:
    return _halves


@pytest.mark.parametrize("data", FINE.values(), ids=FINE)
def test_image_of_each_kind_is_answered(halves, key, data):
    response = halves.predict(form(part(data)), key)
    assert response.status == 200, response.body
    assert response.json()["detections"][0]["label"] == "HSIL"
    assert b"Jane Doe" not in response.body
    record = the_record()
    assert (record.state, record.attempts) == ("succeeded", 1)


@pytest.mark.parametrize(
    "query",
    ["masks=polygon", "masks=none", "visualization=png", "visualization=none", "score_threshold=1"],
)
def test_prediction_of_each_option_is_relayed(halves, key, query):
    assert halves.predict(form(part(png())), key, query=f"?{query}").status == 200


@pytest.mark.parametrize(("data", "reason"), BROKEN.values(), ids=BROKEN)
def test_broken_image_gets_422_with_reason(halves, key, data, reason):
    refusal = assert_refused(halves.predict(form(part(data)), key), 422, "broken_image")
    assert re.search(reason, refusal["detail"])


@pytest.mark.parametrize("data", FOREIGN.values(), ids=FOREIGN)
def test_unsupported_file_is_not_forwarded(halves, key, data):
    assert_refused(halves.predict(form(part(data)), key), 415, "unsupported_image")
    assert the_record().attempts == 0


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_decompression_bomb_is_not_forwarded(halves, key, data):
    assert_refused(halves.predict(form(part(data)), key), 413, "image_too_large")
    assert the_record().attempts == 0


def test_model_failure_does_not_affect_next_image(halves, key):
    response = halves.predict(form(part(png(FAILS))), key)
    refusal = assert_refused(response, 502, "upstream_fault", "failed")
    assert "fake model" not in refusal["detail"]
    assert halves.predict(form(part(png())), key).status == 200
