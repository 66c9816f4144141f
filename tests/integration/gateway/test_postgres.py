"""The same tests, and faults of its own, on a PostgreSQL server that is started here."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from serve_app.paths import ROOT
from tests.integration.gateway.client import Gateway, form, jpeg, part
from tests.integration.gateway.ingress import FakeIngress
from tests.integration.gateway.postgres import Postgres
from tests.integration.gateway.records import assert_problem

ON_POSTGRES = [
    "unit/gateway/access/test_actions.py",
    "unit/gateway/access/test_keys.py",
    "unit/gateway/people/test_actions.py",
    "unit/gateway/predict/test_recorder.py",
    "unit/gateway/monitor/test_alerts.py",
    "unit/gateway/monitor/test_lease.py",
    "unit/gateway/monitor/test_runs.py",
    "unit/gateway/monitor/test_served.py",
    "unit/gateway/monitor/test_status.py",
    "unit/gateway/reviews/test_actions.py",
    "unit/gateway/reviews/test_precision.py::test_only_verdicts_that_hold_count_of_each_person",
    "unit/gateway/reviews/test_precision.py::test_model_in_use_is_that_of_most_last_answers",
    "unit/gateway/reviews/test_precision.py::test_gauges_show_model_in_use_and_forget_it_with_another",
    "unit/gateway/audit/test_chain.py",
    "integration/migrations/test_migrations.py::test_previous_version_works_after_migration",
    "integration/migrations/test_migrations.py::test_migrated_rows_keep_seals_and_day_continues",
    "unit/gateway/usage/test_tally.py",
    "integration/gateway/test_crowd.py",
    "integration/gateway/test_faults.py::test_locked_table_times_out",
    "integration/gateway/test_faults.py::test_silent_database_times_out",
    "integration/gateway/test_idempotency.py",
    "unit/gateway/test_database.py::test_readiness_writes_one_row_repeatedly",
    "integration/gateway/test_usage_api.py",
    "integration/gateway/test_feedback_api.py",
    "integration/gateway/test_report_api.py",
    "unit/gateway/reviews/test_export_command.py",
    "unit/gateway/reviews/test_versions.py",
    "unit/gateway/reviews/test_verification.py",
    "integration/gateway/test_sessions.py::test_session_cookie_with_nul_is_no_session",
    "integration/gateway/test_predict.py::test_record_holds_all_but_image",
    "integration/gateway/test_predict.py::test_disconnect_during_upload_is_recorded",
]


def test_keys_and_records_work_on_postgres(postgres: Postgres):
    tests = [str(ROOT / "tests" / name) for name in ON_POSTGRES]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        env={**os.environ, "DATABASE_URL": postgres.url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout
    assert re.fullmatch(r"\d+ passed in .*", done.stdout.splitlines()[-1]), done.stdout


def environment_of(postgres: Postgres, ingress: FakeIngress) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "LESIONSERVE_SECRET_KEY": "k" * 50,
        "LESIONSERVE_SERVICE_TOKEN": "t" * 32,
        "LESIONSERVE_AUDIT_KEY": "a" * 32,
        "LESIONSERVE_HTTPS_ONLY": "false",
        "LESIONSERVE_UPSTREAM_URL": f"http://127.0.0.1:{ingress.port}",
        "DATABASE_URL": postgres.url,
    }


def test_gateway_recovers_at_once_from_database_restart(postgres: Postgres, ingress: FakeIngress):
    with running(environment_of(postgres, ingress)) as (gateway, key):
        assert ask(gateway, key).status == 200
        postgres.stop()
        assert_problem(ask(gateway, key), 503, "database_unavailable")
        assert_problem(gateway.get("/readyz"), 503, "database_unavailable")
        assert gateway.get("/healthz").status == 200
        assert len(ingress.sent) == 1
        postgres.start()
        for _ in range(8):  # each thread's connection was broken
            assert ask(gateway, key).status == 200


def test_read_only_database_makes_gateway_not_ready(postgres: Postgres, ingress: FakeIngress):
    with running(environment_of(postgres, ingress)) as (gateway, key):
        assert gateway.get("/readyz").status == 200
        postgres.run_sql("ALTER SYSTEM SET default_transaction_read_only = on")
        postgres.run_sql("SELECT pg_reload_conf()")
        try:
            assert_becomes(gateway, 503)
            assert_problem(ask(gateway, key), 503, "database_unavailable")
            assert ingress.sent == []
        finally:
            postgres.run_sql("ALTER SYSTEM RESET default_transaction_read_only")
            postgres.run_sql("SELECT pg_reload_conf()")
        assert_becomes(gateway, 200)
        assert ask(gateway, key).status == 200


def assert_becomes(gateway: Gateway, status: int) -> None:
    """What readiness found out is told again for a second."""
    for _ in range(1000):
        if (response := gateway.get("/readyz")).status == status:
            return
        time.sleep(0.02)
    raise AssertionError(response.body)


def ask(gateway: Gateway, key: str):
    return gateway.predict(form(part(jpeg())), f"X-API-Key: {key}")


@contextmanager
def running(environment: dict[str, str]) -> Iterator[tuple[Gateway, str]]:
    """A gateway process on the environment's database, and a key to it."""
    manage = [sys.executable, "-m", "gateway.manage"]
    subprocess.run([*manage, "migrate", "-v0"], env=environment, cwd=ROOT, check=True, timeout=60)
    issue = [*manage, "issue_key", "--name", "a clinic"]
    key = subprocess.check_output(issue, env=environment, cwd=ROOT, text=True, timeout=60).strip()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "gateway.asgi:application",
             "--http", "gateway.protocol:GatewayProtocol",
             "--fd", str(listener.fileno()), "--log-level", "warning"],
            env=environment, cwd=ROOT, pass_fds=[listener.fileno()],
        )  # fmt: skip
        try:
            yield Gateway(listener.getsockname()[1]), key
        finally:
            server.terminate()
            server.wait(60)
