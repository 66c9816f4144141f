"""Requests with a key of the scope `probe`, over a real socket."""

import json
from io import StringIO

import pytest
from django.core.management import call_command

from gateway.access.models import ApiKey
from gateway.audit.models import Record
from gateway.environment import ProbeSettings
from tests.clinics import issue_key, revoke_key
from tests.integration.gateway.client import Gateway, form, jpeg, part
from tests.integration.gateway.records import assert_problem, assert_refused, the_record

IMAGE = form(part(jpeg()))


@pytest.fixture
def probe_key(transactional_db: None) -> str:
    return f"X-API-Key: {issue_key('a probe', scopes=['probe'])[1]}"


def test_request_with_probe_key_is_recorded_as_probe(gateway: Gateway, ingress, probe_key):
    assert gateway.predict(IMAGE, probe_key).status == 200
    record = the_record()
    assert (record.source, record.state, record.detection_count) == ("probe", "succeeded", 1)
    out = StringIO()
    call_command("verify_audit", stdout=StringIO())
    call_command("export_audit", stdout=out)
    exported = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [row["source"] for row in exported if row["trail"] == "request"] == ["probe"]


@pytest.mark.parametrize("name", ["X-Source", "Source", "X-Lesionserve-Source", "X-Probe"])
def test_header_makes_no_probe(gateway: Gateway, ingress, key, name):
    assert gateway.predict(IMAGE, key, f"{name}: probe", query="?masks=none").status == 200
    assert the_record().source == "client"


def test_refused_image_of_probe_is_probe(gateway: Gateway, ingress, probe_key):
    assert_refused(gateway.predict(form(part(b"none")), probe_key), 415, "unsupported_image")
    assert the_record().source == "probe"


def test_probe_key_reads_no_usage(gateway: Gateway, ingress, probe_key):
    assert_problem(gateway.get("/usage/", probe_key), 403, "forbidden")


def test_key_with_probe_among_scopes_is_no_probe(gateway: Gateway, ingress, transactional_db):
    for scopes, status in ((["predict", "probe"], 200), (["probe", "usage:read"], 403)):
        key, token = issue_key()
        ApiKey.objects.filter(id=key.id).update(scopes=scopes)  # no action issues such a key
        assert gateway.predict(IMAGE, f"X-API-Key: {token}").status == status
    assert set(Record.objects.values_list("source", flat=True)) == {"client"}


def test_probes_take_rate_of_their_own_key(
    gateway: Gateway, ingress, transactional_db, key, one_minute
):
    _, token = issue_key("a probe", scopes=["probe"], requests_per_minute=1)
    statuses = [gateway.predict(IMAGE, f"X-API-Key: {token}").status for _ in range(2)]
    assert statuses == [200, 429]
    assert gateway.predict(IMAGE, key).status == 200


def test_own_probe_with_revoked_key_is_no_client(
    gateway: Gateway, ingress, settings, transactional_db
):
    key, token = issue_key("a probe", scopes=["probe"])
    settings.PROBE = ProbeSettings("https://gateway.example", str(token), None, 60)
    revoke_key(key)
    assert gateway.predict(IMAGE, f"X-API-Key: {token}").status == 401
    assert the_record().source == "probe"
    assert the_record().organisation is None
