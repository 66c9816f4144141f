import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
from django.db import connection

from gateway.audit.models import Record
from gateway.database import close_connections
from tests.clinics import issue_key
from tests.integration.gateway.client import Gateway, form, jpeg, part
from tests.integration.gateway.ingress import FakeIngress, prediction
from tests.integration.gateway.records import assert_problem, the_record

sqlite_only = pytest.mark.skipif(
    connection.vendor != "sqlite", reason="the lock that is held here is SQLite's"
)


postgres_only = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="the lock that is held here is PostgreSQL's"
)


@contextmanager
def locked_database() -> Iterator[None]:
    """Another process writes, and does not come to an end."""
    with closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=30)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@sqlite_only
def test_request_that_cannot_be_recorded_is_not_forwarded(
    gateway: Gateway, ingress: FakeIngress, key
):
    with locked_database():
        response = gateway.predict(form(part(jpeg())), key)
    assert_problem(response, 503, "database_unavailable")
    assert response.headers["Retry-After"] == "2"
    assert ingress.sent == []


@sqlite_only
def test_answer_that_cannot_be_recorded_is_withheld(gateway: Gateway, ingress, key):
    locked, answered = threading.Event(), threading.Event()

    def hold() -> None:
        with locked_database():
            locked.set()
            answered.wait(30)

    def answer(sent):
        holder.start()
        assert locked.wait(30)
        return FakeIngress().respond(sent)

    holder = threading.Thread(target=hold)
    ingress.answer = answer
    response = gateway.predict(form(part(jpeg())), key)
    answered.set()
    holder.join()
    refusal = assert_problem(response, 503, "database_unavailable")
    assert prediction(refusal["request_id"])["visualization"] not in response.body.decode()
    assert the_record().state == "received"


@sqlite_only
def test_gateway_that_cannot_write_records_is_not_ready(gateway: Gateway, ingress):
    assert gateway.get("/readyz").status == 200
    with locked_database():
        for _ in range(1000):  # what was found out a moment ago is told again for a second
            response = gateway.get("/readyz")
            if response.status != 200:
                break
            time.sleep(0.01)
        assert_problem(response, 503, "database_unavailable")
        assert gateway.get("/healthz").status == 200
    for _ in range(1000):
        if (response := gateway.get("/readyz")).status == 200:
            break
        time.sleep(0.01)
    assert response.status == 200


@sqlite_only
def test_request_waits_for_lock_that_is_released(gateway: Gateway, ingress, key):
    statuses = []

    def ask() -> None:
        statuses.append(gateway.predict(form(part(jpeg())), key).status)

    client = threading.Thread(target=ask)
    with locked_database():
        client.start()
        client.join(0.2)
    client.join(30)
    assert statuses == [200]


def test_gateway_recovers_with_ingress(gateway: Gateway, ingress, key):
    ingress.answer = lambda sent: (500, b"")
    assert gateway.predict(form(part(jpeg())), key).status == 502
    ingress.answer = None
    assert gateway.predict(form(part(jpeg())), key).status == 200


def test_concurrent_requests_are_answered_and_recorded(gateway: Gateway, ingress):
    headers = [f"X-API-Key: {issue_key(str(number))[1]}" for number in range(8)]
    answers = []

    def ask(header: str) -> None:
        for _ in range(4):
            answers.append(gateway.predict(form(part(jpeg())), header))

    clients = [threading.Thread(target=ask, args=(header,)) for header in headers]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert [answer.status for answer in answers] == [200] * 32
    assert {answer.headers["X-Request-ID"] for answer in answers} == {
        str(record.request_id) for record in Record.objects.filter(state="succeeded")
    }


@postgres_only
def test_locked_table_times_out(gateway, ingress, key, monkeypatch):
    monkeypatch.setattr("gateway.database._LOCK_S", 0.3)
    close_connections()
    settings = connection.settings_dict
    with psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"],
        user=settings["USER"],
        dbname=settings["NAME"],
    ) as other:
        other.execute("LOCK TABLE usage_record IN ACCESS EXCLUSIVE MODE")
        response = gateway.predict(form(part(jpeg())), key)
        other.rollback()
    assert_problem(response, 503, "database_unavailable")
    assert ingress.sent == []
    close_connections()
    assert gateway.predict(form(part(jpeg())), key).status == 200


def test_silent_database_times_out(gateway, ingress, key, monkeypatch):
    monkeypatch.setattr("gateway.predict.endpoint.IMAGE_WAITS_S", 0.2)
    silent = threading.Event()
    monkeypatch.setattr("gateway.predict.recorder._admit", lambda *_: silent.wait(30))
    response = gateway.predict(form(part(jpeg())), key)
    silent.set()
    assert_problem(response, 503, "database_unavailable")
    assert ingress.sent == []
