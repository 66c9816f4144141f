import json
import re

import pytest
from django.contrib.auth.models import User
from django.templatetags.static import static
from pycocotools.mask import decode as decode_mask

from gateway.access.models import ApiKey
from gateway.api import api
from gateway.audit.chain import today
from gateway.audit.models import Event, Record
from gateway.negotiation import API
from gateway.usage.models import Tally
from pipeline.schemas import Prediction, PredictOptions
from tests.clinics import organisation_named
from tests.integration.gateway.client import Gateway, Response, form, jpeg, part
from tests.integration.gateway.ingress import DIGEST, FakeIngress, problem
from tests.integration.gateway.records import assert_problem
from tests.integration.gateway.servers import running_gateway


def test_page_loads_only_resources_of_gateway(gateway: Gateway):
    page = gateway.get("/")
    assert page.status == 200
    assert set(page.headers["Content-Security-Policy"].split("; ")) == {
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    }
    text = page.body.decode()
    assert "<style" not in text
    assert "onclick" not in text
    for link in re.findall(r'(?:src|href)="([^#"][^"]*)"', text):
        assert link.startswith("/")
        assert gateway.get(link).status == 200


def test_api_documentation_works_offline(gateway: Gateway):
    page = gateway.get("/docs")
    policy = page.headers["Content-Security-Policy"].split("; ")
    assert {"script-src 'self'", "style-src 'self' 'unsafe-inline'"} <= set(policy)
    text = page.body.decode()
    assert "//cdn" not in text
    assert not re.search(r"<script>(?!\s*</script>)", text)
    for link in re.findall(r'(?:src|href)="([^"]+)"', text):
        assert gateway.get(link).status == 200


def test_openapi_document_describes_api(gateway: Gateway):
    document = gateway.get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/predict/",
        "/usage/",
        "/records/feedback",
        "/records/{request_id}",
        "/records/{request_id}/feedback",
        "/records/{request_id}/report.pdf",
        "/healthz",
        "/readyz",
    }
    post = document["paths"]["/predict/"]["post"]
    assert [parameter["name"] for parameter in post["parameters"]] == [
        "masks",
        "visualization",
        "score_threshold",
        "Idempotency-Key",
        "X-Correlation-Id",
    ]
    assert list(post["requestBody"]["content"]) == ["multipart/form-data"]
    assert list(post["responses"]["200"]["content"]) == ["application/json"]
    assert list(post["responses"]["422"]["content"]) == ["application/problem+json"]
    assert post["security"] == [{"apiKey": []}]
    assert {"Prediction", "Problem"} <= set(document["components"]["schemas"])


def test_openapi_document_names_operations_tags_and_key(gateway: Gateway):
    document = gateway.get("/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert {operation["operationId"]: operation["tags"] for operation in operations} == {
        "predict": ["prediction"],
        "usage": ["usage"],
        "record": ["usage"],
        "feedback": ["feedback"],
        "give_feedback": ["feedback"],
        "image_reviews": ["feedback"],
        "report": ["feedback"],
        "healthz": ["health"],
        "readyz": ["health"],
    }
    assert {tag["name"] for tag in document["tags"]} == {
        "prediction",
        "usage",
        "feedback",
        "health",
    }
    (scheme,) = document["components"]["securitySchemes"].items()
    assert (scheme[0], scheme[1]["name"]) == ("apiKey", "X-API-Key")
    assert {str(operation.get("security")) for operation in operations} == {
        "None",
        "[{'apiKey': []}]",
    }


def test_example_answer_fits_schema(gateway: Gateway):
    post = gateway.get("/openapi.json").json()["paths"]["/predict/"]["post"]
    example = post["responses"]["200"]["content"]["application/json"]["example"]
    prediction = Prediction.model_validate_json(json.dumps(example), strict=True)
    (detection,) = prediction.detections
    assert decode_mask(detection.mask.model_dump()).sum() == detection.mask_area


@pytest.mark.parametrize(
    "path", ["/", "/login/", "/docs", "/openapi.json", "/healthz", "/readyz", "/metrics"]
)
def test_answers_are_not_cached(gateway: Gateway, path):
    answer = gateway.get(path)
    assert answer.status == 200
    assert "no-store" in answer.headers["Cache-Control"]
    assert len(answer.headers.get_all("Cache-Control")) == 1


def test_readyz_names_model(gateway: Gateway, ingress: FakeIngress):
    assert gateway.get("/readyz").json() == {
        "status": "ready",
        "model": {"name": "fake", "version": "7", "bundle_sha256": DIGEST},
    }


def test_gateway_is_not_ready_until_model_is_ready(ingress: FakeIngress, transactional_db):
    ingress.answer = lambda sent: problem(sent, 503, "unavailable")
    with running_gateway(UPSTREAM_URL=f"http://127.0.0.1:{ingress.port}") as gateway:
        response = gateway.get("/readyz")
        assert_problem(response, 503, "not_ready")
        assert response.headers["Retry-After"] == "2"
        assert gateway.get("/healthz").json() == {"status": "ok"}


def test_metrics_count_outcomes_latency_and_lesions(gateway: Gateway, ingress, key):
    def value(line: str) -> float:
        match = re.search(f"^{re.escape(line)} (.+)$", gateway.get("/metrics").body.decode(), re.M)
        return float(match[1]) if match else 0.0

    lines = {
        'lesionserve_gateway_requests_total{outcome="succeeded",source="client"}': 1,
        'lesionserve_gateway_requests_total{outcome="rejected",source="client"}': 1,
        'lesionserve_gateway_errors_total{code="unauthorized"}': 1,
        'lesionserve_gateway_latency_seconds_count{outcome="succeeded",source="client"}': 1,
        'lesionserve_gateway_upstream_seconds_count{result="answered"}': 1,
        "lesionserve_gateway_refused_credentials_total": 1,
        'lesionserve_gateway_detections_total{label="HSIL"}': 1,
        "lesionserve_gateway_in_flight": 0,
    }
    before = {line: value(line) for line in lines}
    gateway.predict(form(part(jpeg())), key)
    gateway.predict(form(part(jpeg())))
    assert {line: value(line) - before[line] for line in lines} == lines


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/readyz"])
def test_other_methods_get_405_with_allow(gateway: Gateway, path):
    response = gateway.get(path, "Content-Length: 0", method="DELETE")
    assert_problem(response, 405, "method_not_allowed")
    assert "GET" in response.headers["Allow"]


def test_form_without_csrf_token_gets_problem(gateway: Gateway):
    response = gateway.get("/admin/login/", "Content-Length: 0", method="POST")
    assert_problem(response, 403, "forbidden")


BROWSERS = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"


def assert_page(response: Response, status: int) -> str:
    assert response.status == status
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"
    assert "'unsafe" not in response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    text = response.body.decode()
    assert response.headers["X-Request-ID"] in text
    return text


@pytest.mark.parametrize("path", ["/nowhere", "/%3Cscript%3E", "/static/x.js"])
def test_browser_gets_error_page(gateway: Gateway, path):
    text = assert_page(gateway.get(path, BROWSERS), 404)
    assert "There is no page at this address." in text
    assert "script>" not in re.sub(r"<script src=.*</script>", "", text)
    assert_page(gateway.get("/logout/", BROWSERS), 405)


@pytest.mark.parametrize(
    "header", ["Accept-Language: fr-CH, en;q=0.5", "Cookie: django_language=fr"]
)
def test_error_page_is_in_language_of_request(gateway: Gateway, header):
    response = gateway.get("/nowhere", BROWSERS, header)
    text = assert_page(response, 404)
    assert '<html lang="fr">' in text
    assert "pas de page à cette adresse." in text
    assert response.headers["Content-Language"] == "fr"
    assert gateway.get("/nowhere", header).json()["title"] == "Not found"


def test_details_of_error_page_are_in_language_of_request(gateway: Gateway):
    response = gateway.get("/login/", BROWSERS, "Accept-Language: sw", method="POST")
    assert "Pakia ukurasa upya." in assert_page(response, 403)


@pytest.mark.parametrize("language", ["en", "sw"])
def test_texts_of_scripts_are_in_language_of_their_address(gateway: Gateway, language):
    response = gateway.get(f"/language/{language}/messages.js", "Cookie: django_language=es")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Content-Language"] == language
    assert ("Tafuta vidonda" in response.body.decode()) == (language == "sw")
    assert "Buscar lesiones" not in response.body.decode()


def test_unknown_language_has_no_texts(gateway: Gateway):
    assert gateway.get("/language/de/messages.js").status == 404


def test_error_page_keeps_allow_header(gateway: Gateway):
    assert gateway.get("/logout/", BROWSERS).headers["Allow"] == "POST"


@pytest.mark.parametrize(
    "path",
    ["/predict/", "/predict", "/predict/x", "/records/x", "/usage/", "/metrics/", "/healthz/x"],
)
def test_error_of_api_is_never_page(gateway: Gateway, path):
    response = gateway.get(path, BROWSERS)
    assert response.status >= 400
    assert_problem(response, response.status, response.json()["code"])


def test_paths_that_answer_in_json_are_those_of_api():
    paths = api.get_openapi_schema()["paths"]
    assert {path.split("/")[1] for path in paths} | {"metrics", "openapi.json"} == API


@pytest.mark.parametrize(
    "accepted",
    [
        "*/*",
        "application/json",
        "application/problem+json",
        "text/html, application/json",
        "text/html;q=0.5, application/*",
        "text/html;q=0, */*",
        "text/*;q=0.2, */*;q=0.3",
        "image/png",
        "text/html" + ";a=b" * 300,
        "",
        ",;,q=",
    ],
)
def test_error_is_json_for_clients_that_prefer_json(gateway: Gateway, accepted):
    assert_problem(gateway.get("/nowhere", f"Accept: {accepted}"), 404, "not_found")


@pytest.mark.parametrize("accepted", ["text/html", "TEXT/HTML;Q=1.0", "text/*, */*;q=0.1"])
def test_error_is_page_for_clients_that_prefer_html(gateway: Gateway, accepted):
    assert_page(gateway.get("/nowhere", f"Accept: {accepted}"), 404)


def test_form_without_csrf_token_asks_browser_to_reload(gateway: Gateway):
    response = gateway.get("/login/", BROWSERS, "Content-Length: 0", method="POST")
    assert "Load the page again." in assert_page(response, 403)


def test_pages_are_not_cached(gateway: Gateway):
    for path in ("/", "/login/", "/session/"):
        assert "no-store" in gateway.get(path).headers["Cache-Control"]


def test_static_files_are_kept_for_good_at_address_of_their_content(gateway: Gateway):
    response = gateway.get(static("web/page.js"))
    assert (response.status, response.headers["Content-Type"]) == (
        200,
        'text/javascript; charset="utf-8"',
    )
    assert response.headers["Cache-Control"] == "max-age=31536000, public, immutable"
    for path in ("/static/web/page.js", "/static/0123456789ab/web/page.js"):
        refused = gateway.get(path)
        assert refused.status == 404
        assert "no-store" in refused.headers["Cache-Control"]


def test_admin_requires_sign_in(gateway: Gateway):
    response = gateway.get("/admin/usage/record/")
    assert response.status == 302
    assert response.headers["Location"].startswith("/admin/login/")


def test_admin_shows_records_and_changes_none(client, transactional_db):
    record = Record.objects.create(request_id="00000000-0000-0000-0000-000000000001")
    client.force_login(User.objects.create_superuser("root"))
    listed = client.get("/admin/usage/record/")
    assert str(record.request_id) in listed.content.decode()
    assert client.get(f"/admin/usage/record/{record.pk}/change/").status_code == 200
    assert client.post(f"/admin/usage/record/{record.pk}/change/", {}).status_code == 403
    assert client.post(f"/admin/usage/record/{record.pk}/delete/", {}).status_code == 403
    assert client.get("/admin/usage/record/add/").status_code == 403


def test_admin_finds_record_by_correlation_id(client, transactional_db):
    ids = ["00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"]
    for number, id_ in enumerate(ids):
        options = PredictOptions(score_threshold=0.35).model_dump()
        Record.objects.create(request_id=id_, correlation_id=f"case-{number}", options=options)
    client.force_login(User.objects.create_superuser("root"))
    listed = client.get("/admin/usage/record/?q=case-1").content.decode()
    assert "case-1" in listed
    assert (ids[0] in listed, ids[1] in listed) == (False, True)
    (record,) = Record.objects.filter(request_id=ids[1])
    shown = client.get(f"/admin/usage/record/{record.pk}/change/").content.decode()
    assert "case-1" in shown
    assert "0.35" in shown


@pytest.mark.parametrize("view", ["", "change/", "history/", "delete/"])
def test_single_usage_count_has_no_page(client, transactional_db, view):
    clinic = organisation_named("a clinic")
    count = Tally.objects.create(organisation=clinic, day=today(), count=1)
    client.force_login(User.objects.create_superuser("root"))
    assert client.get("/admin/usage/tally/").status_code == 200
    assert client.get(f"/admin/usage/tally/{count.pk}/{view}").status_code == 404


@pytest.mark.parametrize("asked", ["abc", "9" * 24, "\0", ""])
def test_charts_default_to_first_organisation(client, transactional_db, asked):
    organisation_named("a clinic")
    client.force_login(User.objects.create_superuser("root"))
    shown = client.get("/admin/usage/tally/", {"organisation": asked})
    assert "requests of a clinic" in shown.content.decode()


def test_charts_show_requested_organisation(client, transactional_db):
    organisation_named("a clinic")
    other = organisation_named("elsewhere")
    client.force_login(User.objects.create_superuser("root"))
    shown = client.get("/admin/usage/tally/", {"organisation": other.pk})
    assert "requests of elsewhere" in shown.content.decode()


@pytest.mark.parametrize("view", ["change", "history"])
def test_reading_record_in_admin_writes_event(client, transactional_db, view):
    record = Record.objects.create(request_id="00000000-0000-0000-0000-000000000001")
    client.force_login(User.objects.create_superuser("root"))
    assert client.get(f"/admin/usage/record/{record.pk}/{view}/").status_code == 200
    assert Event.objects.filter(action="record.read", subject=f"record:{record.pk}").count() == 1


@pytest.mark.parametrize(
    "query",
    [
        "secret_hash={hash}",
        "secret_hash__startswith={hash[0]}",
        "secret_hash__gt=0",
        "secret_hash__regex=.",
        "owner__password__startswith=p",
        "organisation__member__user__password__startswith=p",
        "organisation__apikey__secret_hash__startswith={hash[0]}",
        "rotated_at__isnull=1",
    ],
)
def test_admin_filters_reveal_no_hidden_field(client, key, transactional_db, query):
    client.force_login(User.objects.create_superuser("operator"))
    stored = ApiKey.objects.get()
    address = "/admin/keys/apikey/?" + query.format(hash=stored.secret_hash)
    assert client.get(address).status_code == 400
    assert client.get(f"/admin/keys/apikey/?id={stored.id}&name__startswith=a").status_code == 200


def test_lists_of_users_have_no_filter_by_password(client, transactional_db):
    client.force_login(User.objects.create_superuser("operator"))
    for place in ("auth/user/?password__startswith=p", "people/member/?user__password__gt=0"):
        assert client.get(f"/admin/{place}").status_code == 400


def test_admin_revokes_keys_and_hides_their_hashes(client, key, transactional_db):
    client.force_login(User.objects.create_superuser("root"))
    stored = ApiKey.objects.get()
    shown = client.get(f"/admin/keys/apikey/{stored.id}/change/").content.decode()
    assert stored.secret_hash not in shown
    client.post("/admin/keys/apikey/", {"action": "revoke", "_selected_action": [stored.id]})
    assert ApiKey.objects.get().revoked_at is not None
