"""The metrics that are not of one request: the database, credentials, the trail, the host."""

import shutil
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from django.db import DatabaseError, OperationalError, connection
from django.utils import timezone

from gateway import (
    asgi,  # noqa: F401, so that every metric there is is registered
    host_metrics,
)
from gateway.access.caller import Caller
from gateway.access.limits import LimitStatus, raise_if_exceeded
from gateway.access.quota import take_quota
from gateway.audit.events import COMMAND, record_event
from gateway.audit.metrics import refresh_audit_metrics
from gateway.audit.models import AuditCheck, Event, Record, State
from gateway.certificates import first_expiry
from gateway.database import DatabaseUnavailable, background, in_database
from gateway.environment import Environment
from gateway.errors import TooManyRequests
from gateway.host_metrics import refresh_host_metrics
from tests.clinics import organisation_named
from tests.unit.gateway.metric_values import changes, value
from tests.unit.gateway.test_environment import GOOD


@pytest.mark.django_db(transaction=True)
async def test_visit_of_database_is_timed():
    with changes() as changed:
        await in_database(Record.objects.count)
    assert changed == {"database_seconds_count": 1}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [OperationalError("locked"), TimeoutError()])
async def test_failed_visit_of_database_counts(error):
    def fail() -> None:
        raise error

    with changes() as changed, pytest.raises(DatabaseUnavailable):
        await in_database(fail)
    assert changed == {"database_seconds_count": 1, "database_errors_total": 1}


@pytest.mark.django_db(transaction=True)
async def test_failed_periodic_visit_of_database_counts():
    def fail() -> None:
        raise OperationalError("locked")

    with changes() as changed, pytest.raises(OperationalError):
        await background(fail)
    assert changed == {"database_errors_total": 1}


@pytest.mark.parametrize("limit", ["caller", "organisation", "failures"])
def test_request_over_rate_counts_by_limit(limit):
    within = LimitStatus("caller", limit=5, remaining=1, reset_s=1, exceeded=False)
    over = LimitStatus(limit, limit=5, remaining=0, reset_s=1, exceeded=True)
    with changes() as changed, pytest.raises(TooManyRequests):
        raise_if_exceeded([within, over])
    assert changed == {f"rate_limited_total {limit}": 1}


@pytest.mark.django_db
def test_request_over_quota_counts():
    caller = Caller(organisation_named("a clinic"), frozenset(), user="ada", requests_per_day=1)
    take_quota(caller, timezone.now())
    with changes() as changed, pytest.raises(TooManyRequests):
        take_quota(caller, timezone.now())
    assert changed == {"rate_limited_total quota": 1}


@pytest.mark.django_db
def test_wrong_password_counts_as_refused_credential(rf):
    with changes() as changed:
        assert authenticate(rf.post("/login/"), username="ada", password="wrong") is None
    assert changed == {"refused_credentials_total": 1}


def seconds_ago(name: str) -> float:
    return timezone.now().timestamp() - value(name)


def verify(**options: object) -> None:
    call_command("verify_audit", stdout=StringIO(), stderr=StringIO(), **options)


@pytest.mark.django_db
def test_gauges_of_empty_trail():
    refresh_audit_metrics()
    assert value("audit_sealed_timestamp_seconds") == 0
    assert value("audit_verified_timestamp_seconds") == 0
    assert (value("audit_intact"), value("audit_open_records")) == (1, 0)


@pytest.mark.django_db
@pytest.mark.parametrize("newest", ["record", "event"])
def test_newest_sealed_row_is_of_either_trail(newest):
    then, long_ago = timezone.now() - timedelta(hours=1), timezone.now() - timedelta(hours=2)
    record_at, event_at = (then, long_ago) if newest == "record" else (long_ago, then)
    for at in (record_at - timedelta(days=1), record_at):
        assert Record.objects.close(
            Record(request_id=uuid4(), state=State.SUCCEEDED, finished_at=at)
        )
    record_event(Event.Action.USAGE_READ, COMMAND)
    Event.objects.update(at=event_at)
    Record.objects.create(request_id=uuid4())  # still open
    refresh_audit_metrics()
    assert value("audit_sealed_timestamp_seconds") == pytest.approx(then.timestamp())


@pytest.mark.django_db
def test_record_open_beyond_deadline_counts(settings):
    late = timezone.now() - timedelta(seconds=settings.DEADLINE_S + 1)
    Record.objects.create(request_id=uuid4(), received_at=late)
    Record.objects.create(request_id=uuid4())
    refresh_audit_metrics()
    assert value("audit_open_records") == 1


@pytest.mark.django_db
def test_verification_of_whole_trail_is_kept():
    for _ in range(3):
        record_event(Event.Action.USAGE_READ, COMMAND)
    verify()
    check = AuditCheck.objects.get()
    assert (check.intact, check.faults, check.rows) == (True, 0, 3)
    refresh_audit_metrics()
    assert value("audit_intact") == 1
    assert 0 <= seconds_ago("audit_verified_timestamp_seconds") < 60

    intact_at = value("audit_verified_timestamp_seconds")
    Event.objects.filter(position=2).update(actor="somebody else")
    with pytest.raises(CommandError, match="not intact"):
        verify()
    assert (AuditCheck.objects.latest().intact, AuditCheck.objects.latest().faults) == (False, 1)
    refresh_audit_metrics()
    assert value("audit_intact") == 0
    assert value("audit_verified_timestamp_seconds") == intact_at, "of the last intact one"

    Event.objects.filter(position=2).update(actor=COMMAND.name)
    verify(against=StringIO())
    refresh_audit_metrics()
    assert value("audit_intact") == 1


@pytest.mark.django_db
@pytest.mark.parametrize("day", [{"first": "2026-01-01"}, {"last": "2026-01-01"}])
def test_verification_of_some_days_is_not_kept(day):
    verify(**{name: datetime.fromisoformat(text).date() for name, text in day.items()})
    assert not AuditCheck.objects.exists()


@pytest.mark.django_db
def test_trail_is_verified_where_result_cannot_be_written(monkeypatch):
    def fail(**fields: object) -> None:
        raise DatabaseError("attempt to write a readonly database")

    monkeypatch.setattr(AuditCheck.objects, "create", fail)
    err = StringIO()
    call_command("verify_audit", stdout=StringIO(), stderr=err)
    assert "will not show this verification: attempt to write a readonly" in err.getvalue()


def certificate(expires: datetime) -> bytes:
    """Return a self-signed certificate with its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a host")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(expires - timedelta(days=90)).not_valid_after(expires)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    signed = builder.sign(key, hashes.SHA256())
    return private + signed.public_bytes(serialization.Encoding.PEM)


SOON, LATER = (datetime(year, 1, 2, tzinfo=UTC) for year in (2031, 2032))


def test_first_certificate_of_file_to_expire_counts(tmp_path):
    (tmp_path / "chain.pem").write_bytes(certificate(LATER) + certificate(SOON))
    assert first_expiry(tmp_path / "chain.pem") == SOON.timestamp()


def test_setting_adds_certificates_to_own_ones(tmp_path):
    pem = tmp_path / "a file.pem"
    pem.write_bytes(certificate(SOON))
    written = {
        "LESIONSERVE_CERTIFICATES": f"nginx={pem}, edge_2 = {pem}",
        "LESIONSERVE_UPSTREAM_CA": str(pem),
    }
    certificates = Environment.read(GOOD | written).certificates()
    assert certificates == {"upstream_ca": pem, "nginx": pem, "edge_2": pem}
    assert Environment.read(GOOD).certificates() == {}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("a=/x,a=/y", "a name is there twice"),
        ("nginx=/no/such/file", "nginx: the file cannot be read: No such file or directory"),
        (f"nginx={__file__}", "nginx: the file holds no certificate"),
        ("/etc/ssl/nginx.pem", "write name=path"),
    ],
)
def test_error_of_certificates_says_what_is_wrong(setting, words):
    with pytest.raises(Exception, match=words):
        Environment.read({**GOOD, "LESIONSERVE_CERTIFICATES": setting})


def test_expiry_of_certificates_is_refreshed(tmp_path, settings, monkeypatch):
    series = host_metrics._CERTIFICATE.labels("tested")
    monkeypatch.setattr(host_metrics, "_certificates", {"tested": series})
    settings.CERTIFICATES = {"tested": tmp_path / "nginx.pem"}

    def expiry() -> float:
        refresh_host_metrics()
        return value("certificate_expires_timestamp_seconds", certificate="tested")

    assert expiry() == 0, "a file that is missing needs as much care as an old one"
    (tmp_path / "nginx.pem").write_bytes(certificate(SOON))
    assert expiry() == SOON.timestamp()
    (tmp_path / "nginx.pem").write_bytes(certificate(LATER))
    assert expiry() == LATER.timestamp()
    (tmp_path / "nginx.pem").write_text("no certificate")
    assert expiry() == 0
    host_metrics._CERTIFICATE.remove("tested")


def test_disk_is_that_of_database():
    refresh_host_metrics()
    is_file = connection.vendor == "sqlite"
    folder = Path(connection.settings_dict["NAME"]).parent if is_file else Path.cwd()
    assert value("disk_size_bytes") == shutil.disk_usage(folder).total
    assert 0 < value("disk_free_bytes") <= value("disk_size_bytes")


def test_info_names_version():
    assert value("info", version=version("lesionserve")) == 1
