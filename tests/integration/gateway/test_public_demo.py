"""A public demo: one key for everybody, and nothing kept."""

import re
from collections.abc import Iterator

import pytest

from cluster.launcher.public_demo import PublicDemo
from gateway.access.models import ApiKey
from gateway.audit.models import Record
from gateway.environment import Rates
from gateway.predict.models import IdempotentRequest
from gateway.public_demo_urls import urlpatterns
from pipeline.schemas import Prediction
from tests.clinics import issue_key
from tests.integration.gateway.client import Gateway, Response, form, jpeg, part
from tests.integration.gateway.ingress import FakeIngress, problem
from tests.integration.gateway.records import assert_problem, the_record
from tests.integration.gateway.servers import PROTOCOL, serving
from tests.integration.gateway.test_pages import BROWSERS

HUB = "https://huggingface.co"
BANNER = "Synthetic demo model, not for clinical use."


@pytest.fixture
def demo_key(transactional_db: None) -> str:
    return str(issue_key("public demo")[1])


@pytest.fixture
def demo(ingress: FakeIngress, demo_key: str, one_minute: None, settings) -> Iterator[Gateway]:
    """A public demo behind a proxy on the loopback address, as `up --public-demo` starts it."""
    from gateway.asgi import application

    settings.UPSTREAM_URL = f"http://127.0.0.1:{ingress.port}"
    settings.PUBLIC_DEMO_KEY = demo_key
    settings.ROOT_URLCONF = "gateway.public_demo_urls"
    settings.FRAME_ANCESTORS = [HUB]
    settings.METRICS_HOSTS = []
    settings.IDEMPOTENCY_S = 0
    settings.RATES = Rates(caller=8, organisation=100, failures=4, address=3)
    proxies = PublicDemo.exposure.proxies
    with serving(application, http=PROTOCOL, proxies=proxies) as port:
        yield Gateway(port)


def predict(demo: Gateway, key: str, *headers: str) -> Response:
    return demo.predict(form(part(jpeg())), f"X-API-Key: {key}", *headers)


def test_page_shows_key_that_answers(demo: Gateway, demo_key: str):
    text = demo.get("/").body.decode()
    (key,) = re.findall('data-demo-key="([^"]+)"', text)
    assert key == demo_key
    assert Prediction.model_validate_json(predict(demo, key).body)


def test_page_offers_examples_and_says_what_is_kept(demo: Gateway):
    text = demo.get("/").body.decode()
    examples = re.findall('data-url="([^"]+)"', text)
    assert len(examples) == 4
    assert all(demo.get(url).headers["Content-Type"] == "image/jpeg" for url in examples)
    assert "No image, no answer and no IP address is kept." in text
    assert 'id="key"' not in text
    assert "/login/" not in text


@pytest.mark.parametrize(
    ("query", "language"), [("", "en"), ("?language=fr", "fr"), ("?language=xx", "en")]
)
def test_language_is_chosen_by_address(demo: Gateway, query, language):
    response = demo.get(f"/{query}")
    text = response.body.decode()
    assert f'<html lang="{language}">' in text
    assert response.headers["Content-Language"] == language
    assert response.headers["Set-Cookie"] is None
    assert demo.get(f"/language/{language}/messages.js").status == 200
    assert f'src="/language/{language}/messages.js"' in text
    assert '<form class="languages"' in text
    assert "csrfmiddlewaretoken" not in text


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_every_page_has_banner_without_button(demo: Gateway, path):
    response = demo.get(path, BROWSERS)
    assert response.status == 200
    (banner,) = re.findall(f'<p class="public-demo"[^>]*>.*{BANNER}.*</p>', response.body.decode())
    assert "Do not upload patients" in banner
    assert "hidden" not in banner
    assert "button" not in banner


@pytest.mark.parametrize("path", ["/nowhere", "/login/", "/admin/", "/static/x.js"])
def test_error_page_has_banner(demo: Gateway, path):
    response = demo.get(path, BROWSERS)
    assert response.status == 404
    assert BANNER in response.body.decode()


def test_all_pages_of_demo_are_known_to_tests_of_banner():
    *_, api = urlpatterns
    paths = [str(pattern.pattern) for pattern in urlpatterns[:3]]
    paths += [str(pattern.pattern) for pattern in api.url_patterns]
    assert sorted(paths) == [
        *("", "", "docs", "healthz", "language/<slug:language>/messages.js"),
        *("openapi.json", "predict/", "readyz"),
        "records/<uuidstr:request_id>",
        *["records/<uuidstr:request_id>/feedback"] * 2,  # to read and to give it
        "records/<uuidstr:request_id>/report.pdf",
        "records/feedback",
        *("session/", "usage/"),
    ]


@pytest.mark.parametrize("path", ["/", "/docs", "/nowhere"])
def test_other_gateways_have_no_banner(gateway: Gateway, path):
    assert BANNER not in gateway.get(path, BROWSERS).body.decode()


@pytest.mark.parametrize(
    "path", ["/login/", "/logout/", "/admin/", "/admin/login/", "/operations", "/operations/alerts"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nobody_can_sign_in_or_administrate(demo: Gateway, path, method):
    assert_problem(demo.get(path, "Content-Length: 0", method=method), 404, "not_found")


@pytest.mark.parametrize(
    "path",
    [
        "/usage/",
        "/records/00000000-0000-0000-0000-000000000001",
        "/records/00000000-0000-0000-0000-000000000001/feedback",
        "/records/00000000-0000-0000-0000-000000000001/report.pdf",
        "/records/feedback",
    ],
)
def test_public_key_reads_no_record(demo: Gateway, demo_key: str, path):
    assert_problem(demo.get(path, f"X-API-Key: {demo_key}"), 403, "forbidden")


@pytest.mark.parametrize("host", ["localhost", "10.0.0.1"])
def test_metrics_are_not_served(demo: Gateway, host):
    assert demo.get("/metrics").status in (400, 404)


@pytest.mark.parametrize("path", ["/", "/docs", "/session/", "/readyz", "/nowhere"])
def test_demo_sets_no_cookie(demo: Gateway, path):
    assert demo.get(path).headers["Set-Cookie"] is None


def test_hub_may_frame_page(demo: Gateway):
    response = demo.get("/")
    assert f"frame-ancestors {HUB}" in response.headers["Content-Security-Policy"]
    assert response.headers["X-Frame-Options"] is None
    assert demo.get("/docs").headers["X-Frame-Options"] == "DENY"


def test_record_has_no_address(demo: Gateway, demo_key: str):
    predict(demo, demo_key, "X-Forwarded-For: 203.0.113.7")
    predict(demo, "wrong", "X-Forwarded-For: 203.0.113.7")
    assert set(Record.objects.values_list("address", "state")) == {
        (None, "succeeded"),
        (None, "rejected"),
    }


def test_demo_stores_no_answer_for_idempotency_key(demo: Gateway, demo_key: str):
    header = "Idempotency-Key: 1"
    assert_problem(predict(demo, demo_key, header), 400, "bad_request")
    assert not IdempotentRequest.objects.exists()


def accepted(demo: Gateway, key: str, forwarded: list[str]) -> list[int]:
    return [predict(demo, key, f"X-Forwarded-For: {value}").status for value in forwarded]


def test_each_address_has_limit_of_its_own(demo: Gateway, demo_key: str):
    assert accepted(demo, demo_key, ["203.0.113.7"] * 4) == [200, 200, 200, 429]
    assert accepted(demo, demo_key, ["203.0.113.8"]) == [200]


@pytest.mark.parametrize(
    "forged",
    [
        "{0}.{0}.{0}.{0}, 203.0.113.7",
        "10.0.0.{0}, 203.0.113.7",
        "{0}.{0}.{0}.{0}, 203.0.113.7, 10.0.0.1",
        "2001:db8:{0}::1, 203.0.113.7, 10.112.58.9, 10.16.3.80",
        "unknown{0}, 203.0.113.7",
        ", , 9.9.9.{0},203.0.113.7",
    ],
)
def test_client_cannot_choose_its_address(demo: Gateway, demo_key: str, forged):
    values = [forged.format(number) for number in range(1, 5)]
    assert accepted(demo, demo_key, values) == [200, 200, 200, 429]


def test_addresses_of_one_64_share_limit(demo: Gateway, demo_key: str):
    values = [f"2001:db8::{number}" for number in range(1, 5)]
    assert accepted(demo, demo_key, values) == [200, 200, 200, 429]


def test_second_forwarding_header_is_joined_to_first(demo: Gateway, demo_key: str):
    forged = "X-Forwarded-For: 198.51.100.{}"
    statuses = [
        predict(demo, demo_key, forged.format(number), "X-Forwarded-For: 203.0.113.7").status
        for number in range(1, 5)
    ]
    assert statuses == [200, 200, 200, 429]


def test_all_visitors_together_are_limited(demo: Gateway, demo_key: str):
    values = [f"203.0.113.{number}" for number in range(1, 11)]
    assert accepted(demo, demo_key, values) == [200] * 8 + [429] * 2


def test_guessed_keys_are_limited_by_forwarded_address(demo: Gateway):
    statuses = accepted(demo, "wrong", ["203.0.113.7"] * 5)
    assert statuses == [401] * 4 + [429]


def test_refused_visitor_is_told_when_to_return(demo: Gateway, demo_key: str):
    for _ in range(3):
        predict(demo, demo_key)
    response = predict(demo, demo_key)
    assert_problem(response, 429, "too_many_requests")
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    assert '"address";q=3;w=60' in response.headers["RateLimit-Policy"]


def test_page_answers_until_model_is_ready(demo: Gateway, ingress: FakeIngress):
    ingress.answer = lambda sent: problem(sent, 503, "unavailable")
    assert demo.get("/").status == 200
    assert demo.get("/readyz").status == 503


def test_key_of_demo_is_ordinary_key(demo: Gateway, demo_key: str):
    predict(demo, demo_key)
    (key,) = ApiKey.objects.all()
    assert key.scopes == ["predict"]
    assert the_record().key_id == key.id
