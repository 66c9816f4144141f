import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.launcher.driver_log import DriverLog
from cluster.launcher.process_log import ProcessLog, last_line
from cluster.launcher.process_roles import GATEWAY
from cluster.paths import DEMO_BUNDLE, LOCAL_PROFILE
from pipeline.bundle.manifest import read_manifest
from serve_app.driver_state import DriverReport, DriverState
from tests.unit.pipeline.bundle.test_precision_choice import make_choice

# The real driver, up to where Ray would start.
DRIVER_WITHOUT_RAY = (
    "import sys; from serve_app import __main__ as driver; "
    "driver._serve = lambda *_: 0; sys.exit(driver.main())"
)


def test_real_driver_reports_ingress_url(tmp_path: Path) -> None:
    path = tmp_path / "serve.log"
    with path.open("wb") as output:
        subprocess.run(
            [sys.executable, "-c", DRIVER_WITHOUT_RAY, "--port", "12345", "--bundle", DEMO_BUNDLE],
            env={**os.environ, "LESIONSERVE_SERVICE_TOKENS": "t" * 32},
            stdout=output,
            stderr=output,
            check=True,
        )
    log = DriverLog(path, is_kept=False)
    assert log.ingress_url == "http://127.0.0.1:12345"
    assert log.chosen_precision is None
    assert not log.has_reported(DriverState.READY)


def test_driver_reports_precision_that_bundle_chose(tmp_path: Path) -> None:
    bundle, profile = tmp_path / "bundle", tmp_path / "profile.yaml"
    shutil.copytree(DEMO_BUNDLE, bundle)
    manifest = read_manifest(bundle)
    manifest.model_copy(update={"precision_choice": make_choice()}).sealed().write(bundle)
    text = LOCAL_PROFILE.read_text()
    profile.write_text(text.replace("device: cpu", "device: cpu\n        precision: auto"))
    command = [sys.executable, "-c", DRIVER_WITHOUT_RAY, "--config", profile, "--bundle"]
    variables = {**os.environ, "LESIONSERVE_SERVICE_TOKENS": "t" * 32}
    for path, chosen in ((bundle, "int8"), (DEMO_BUNDLE, None)):
        log = DriverLog(tmp_path / f"{path.name}.log", is_kept=False)
        with log.path.open("wb") as output:
            done = subprocess.run([*command, path], env=variables, stdout=output, check=False)
        assert (done.returncode == 0) == (chosen is not None)
        assert log.chosen_precision == chosen
    assert "precision 'auto' needs a choice" in log.failure_reason


def test_log_without_report_has_no_url(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"READY\nACCEPTED http://x\n\xff")
    log = DriverLog(tmp_path / "log", is_kept=False)
    assert log.ingress_url is None
    assert not any(log.has_reported(state) for state in DriverState)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("", "no reason was given"),
        ("a\n b \n\n", "b"),
        ("error: a\nTraceback\n  b\n", "b"),
    ],
)
def test_reason_is_last_line(output: str, reason: str) -> None:
    assert last_line(output) == reason


def test_reported_error_takes_precedence_over_last_line(tmp_path: Path) -> None:
    log = DriverLog(tmp_path / "log", is_kept=False)
    log.path.write_text("error: a\nb\n")
    assert log.failure_reason == "b"
    report = DriverReport(state=DriverState.FAILED, error="no\nbundle")
    log.path.write_text(f"{report.model_dump_json()}\nerror: a\nb\n")
    assert str(log.start_error(1)) == "no\nbundle"


def test_real_driver_reports_why_it_failed(tmp_path: Path) -> None:
    log = DriverLog(tmp_path / "serve.log", is_kept=False)
    with log.path.open("wb") as output:
        driver = subprocess.run(
            [sys.executable, "-m", "serve_app", "--bundle", str(tmp_path / "gone")],
            env={**os.environ, "LESIONSERVE_SERVICE_TOKENS": "t" * 32},
            stdout=output,
            stderr=output,
        )
    assert driver.returncode == 1
    assert log.has_reported(DriverState.FAILED)
    assert str(tmp_path / "gone") in log.failure_reason
    assert log.failure_reason in log.text.splitlines()[-1]


@pytest.mark.parametrize(("status", "exit_status"), [(1, 1), (2, 2), (-9, 1)])
def test_start_error_has_status_of_misuse_or_failure(tmp_path, status, exit_status) -> None:
    (tmp_path / "log").write_text("a\nno bundle\n")
    error = ProcessLog(tmp_path / "log", is_kept=True).start_error(status)
    assert (str(error), error.exit_status, error.log) == (
        "no bundle",
        exit_status,
        "a\nno bundle",
    )


def test_exit_error_names_log_only_if_it_is_kept(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("")
    message = "the gateway died; everything is stopped"
    with_log, without_log = (
        ProcessLog(tmp_path / "log", is_kept).exit_error(GATEWAY) for is_kept in (1, 0)
    )
    assert str(with_log) == f"{message}; its output is in {tmp_path}/log"
    assert str(without_log) == message
