from types import SimpleNamespace

import pytest
from django.core.checks import run_checks

from gateway.checks import (
    certificates_are_used,
    database_is_named,
    images_travel_encrypted,
    sign_in_takes_more_than_a_password,
    uploads_stay_in_memory,
)
from gateway.environment import Environment


def test_gateway_passes_its_checks():
    assert run_checks() == []


def test_deployment_check_names_database():
    messages = [message.msg for message in run_checks(include_deployment_checks=True)]
    assert [message.startswith("The database is ") for message in messages].count(True) == 1


def test_check_refuses_uploads_written_to_disk(settings):
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = settings.MAX_UPLOAD_BYTES - 1
    assert [message.id for message in uploads_stay_in_memory(None)] == ["gateway.E001"]


@pytest.mark.parametrize(
    ("url", "warnings"),
    [
        ("http://localhost:8000", []),
        ("http://127.0.0.1:8000", []),
        ("http://[::1]:8000", []),
        ("https://ingress.example", []),
        ("http://ingress.example", ["gateway.W001"]),
        ("http://10.0.0.1", ["gateway.W001"]),
    ],
)
def test_check_warns_of_plain_http_to_another_host(settings, url, warnings):
    settings.UPSTREAM_URL = url
    assert [message.id for message in images_travel_encrypted(None)] == warnings


@pytest.mark.parametrize(
    ("url", "name", "warns"),
    [
        ("http://127.0.0.1:8000", "UPSTREAM_CERTIFICATE", True),
        ("http://127.0.0.1:8000", "UPSTREAM_CA", True),
        ("https://ingress.example:8443", "UPSTREAM_CERTIFICATE", False),
        ("https://ingress.example:8443", "UPSTREAM_CA", False),
    ],
)
def test_check_warns_of_certificate_that_is_not_used(settings, tmp_path, url, name, warns):
    settings.UPSTREAM_URL = url
    setattr(settings, name, tmp_path / "client.pem")
    messages = [message.msg for message in certificates_are_used(None)]
    assert [f"LESIONSERVE_{name} is set" in message for message in messages] == [True] * warns


def test_plain_http_without_certificates_is_not_warned_of(settings):
    settings.UPSTREAM_URL = "http://127.0.0.1:8000"
    assert certificates_are_used(None) == []


SECRETS = {
    "LESIONSERVE_SECRET_KEY": "k" * 50,
    "LESIONSERVE_SERVICE_TOKEN": "t" * 32,
    "LESIONSERVE_AUDIT_KEY": "a" * 32,
}


def database_message(monkeypatch, variables):
    environment = Environment.read(SECRETS | variables)
    settings = SimpleNamespace(
        DATABASES=environment.databases(), DATABASE_IS_GIVEN=environment.is_database_given
    )
    monkeypatch.setattr("gateway.checks.settings", settings)
    (message,) = database_is_named(None)
    return message


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (
            "postgresql://clinic:s3cret@db.example:5433/lesions?sslmode=verify-full&sslrootcert=/a",
            "lesions of PostgreSQL at db.example:5433.",
        ),
        ("postgresql://clinic:s3cret@db.example/lesions", "lesions of PostgreSQL at db.example."),
        ("postgresql:///lesions", "lesions of PostgreSQL at the local socket."),
        ("sqlite:////srv/lesions.sqlite3", "the SQLite file /srv/lesions.sqlite3."),
    ],
)
def test_check_names_database_without_password(monkeypatch, url, name):
    message = database_message(monkeypatch, {"DATABASE_URL": url})
    assert (message.id, message.msg) == ("gateway.I001", f"The database is {name}")
    assert "s3cret" not in str(message)


def test_check_names_database_whose_url_is_in_a_file(monkeypatch, tmp_path):
    (tmp_path / "url").write_text("postgresql://clinic:s3cret@db.example/lesions")
    message = database_message(monkeypatch, {"DATABASE_URL_FILE": str(tmp_path / "url")})
    assert message.id == "gateway.I001"


def test_check_warns_of_database_that_nobody_chose(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    message = database_message(monkeypatch, {})
    assert message.id == "gateway.W003"
    assert f"DATABASE_URL is not set. The database is the SQLite file {tmp_path}/" in message.msg
    assert "single quotes" in message.hint


@pytest.mark.parametrize(
    ("changes", "warnings"),
    [
        ({}, ["gateway.W004"]),
        ({"SECOND_FACTOR": True}, ["gateway.W004"]),  # nobody has to have one
        ({"SECOND_FACTOR": True, "REQUIRE_SECOND_FACTOR": frozenset({"admin"})}, []),
        ({"OPENID": object()}, []),
        ({"PUBLIC_DEMO_KEY": "a key"}, []),  # which nobody signs in to
    ],
    ids=["nothing", "offered", "required", "single sign-on", "public demo"],
)
def test_check_warns_where_password_alone_lets_in(settings, changes, warnings):
    for name, value in changes.items():
        setattr(settings, name, value)
    assert [message.id for message in sign_in_takes_more_than_a_password(None)] == warnings
