"""`lesionserve up` as its users meet it: it answers, it says who died, and it leaves nothing."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import grpc
import httpx
import psutil
import pytest

from pipeline.schemas import Prediction, Problem
from tests.e2e.up import COMMAND, IMAGE, START_WITHIN_S, STOP_WITHIN_S, Up, is_gone, manage, running
from tests.waiting import until

pytestmark = pytest.mark.cluster
ABANDON_WITHIN_S = 12  # less than one child alone is given where requests may be in flight


def assert_nothing_left(up: Up, processes: dict[psutil.Process, str]) -> None:
    assert not up.ready_file.exists()
    assert [title for process, title in processes.items() if not is_gone(process)] == []
    assert list(up.temp.iterdir()) == []


def test_up_answers_recovers_and_leaves_nothing(tmp_path):
    with running(tmp_path) as up:
        answer = up.post()
        assert answer.status_code == 200, answer.text
        assert Prediction.model_validate_json(answer.content).detections
        refusals = {
            401: up.post(key=up.key[:-1] + "x"),
            415: up.post(b"just text"),
            422: up.post(IMAGE[: len(IMAGE) // 2]),
        }
        refusals[400] = up.post(query=f"?patient=Jane&key={up.key}")
        for status, refusal in refusals.items():
            assert Problem.model_validate_json(refusal.content).status == status

        assert_invitation(up)
        assert_listens_on_loopback_alone(up)
        assert_metrics_of_replicas(up)
        direct = assert_replica_is_asked_itself(up)
        assert_files_are_private(tmp_path / "data")
        assert re.findall(r"^ +\d+ s  (.*)", up.output, re.MULTILINE)[-1] == "ready"

        replica = up.process_of("a replica of LesionService")
        replica.kill()
        until(
            lambda: (
                "a replica of LesionService died; another one is started where it is needed, "
                f"within about half a minute (pid {replica.pid})" in up.output
            ),
            10,
        )
        assert up.post().status_code == 200
        direct += assert_replica_is_asked_itself(up)

        processes = up.processes()
        assert list(up.temp.glob("ls-*/ray"))
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(STOP_WITHIN_S) == 0, up.output
        assert_nothing_left(up, processes)
    assert "Traceback" not in up.output
    assert "stopping\n" in up.output
    with closing(sqlite3.connect(tmp_path / "data" / "lesionserve.sqlite3")) as database:
        keys = database.execute("SELECT expires_at, revoked_at FROM keys_apikey").fetchall()
    assert [None in times for times in keys] == [False]
    assert_logs_are_kept(tmp_path / "data", answer.json()["request_id"], up.key)
    audited = manage(tmp_path / "data", "verify_audit")
    assert audited.returncode == 0, audited.stderr
    assert f" {6 + direct} rows, " in audited.stdout


def assert_logs_are_kept(data: Path, request_id: str, key: str) -> None:
    (logs,) = (data / "logs").iterdir()
    assert {log.name for log in logs.iterdir()} == {"serve.log", "gateway.log", "serve"}
    assert_files_are_private(data)
    assert_logged(request_id, logs / "gateway.log", event="request", status=200)
    replica_logs = logs.glob("serve/replica_*")
    (replica_log,) = (log for log in replica_logs if request_id in log.read_text())  # killed later
    assert_logged(request_id, replica_log, message="answered")
    for log in logs.rglob("*.log"):
        assert "Jane" not in log.read_text(errors="replace"), log
        assert key not in log.read_text(errors="replace"), log


def assert_invitation(up: Up) -> None:
    """The terminal shows the same address and key, in a command to paste."""
    command = f'curl -H "X-API-Key: {up.key}" -F file=@'
    (line,) = (line.strip() for line in up.output.splitlines() if "curl" in line)
    assert line.startswith(command)
    assert line.endswith(f" {up.url}/predict/")
    assert up.ready_file.stat().st_mode & 0o077 == 0


def assert_listens_on_loopback_alone(up: Up) -> None:
    """All but the calls between replicas, for which Ray asks for its token."""
    addresses = up.listening()
    assert len(addresses) > 5
    open_ = {address: title for address, title in addresses.items() if address[0] != "127.0.0.1"}
    assert all("ray::ServeReplica" in title for title in open_.values()), open_
    assert {port for _, port in addresses}.isdisjoint({6379, 8265, 10001, 44217, 44227, 52365})
    for _, port in open_:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/ray.serve.ASGIService/HandleRequest")
            with pytest.raises(grpc.RpcError) as raised:
                call(b"", timeout=30)
            assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED


def assert_metrics_of_replicas(up: Up) -> None:
    """The port that the driver was given has them, on the loopback address."""
    (port,) = {
        int(title.split("--metrics-port ")[1].split()[0])
        for title in up.processes().values()
        if "--metrics-port" in title
    }
    assert ("127.0.0.1", port) in up.listening()
    url = f"http://127.0.0.1:{port}/metrics"
    until(lambda: "ray_lesionserve_model_info{" in httpx.get(url, timeout=10).text, within_s=60)


def assert_replica_is_asked_itself(up: Up) -> int:
    """Soon, images do not pass Serve's proxy, whose log has a line for each request.

    Return how many were sent.
    """
    sent = 0

    def proxied() -> int:
        logs = up.temp.glob("ls-*/ray/session_*/logs/serve/proxy_*.log")
        return sum(log.read_text().count("POST /predict") for log in logs)

    def passes_by_proxy() -> bool:
        nonlocal sent
        before = proxied()
        for _ in range(3):
            assert up.post().status_code == 200
            sent += 1
        return proxied() == before

    # A line is written after its response, and a readiness check may still be on its way.
    until(passes_by_proxy, 30)
    return sent


def assert_files_are_private(data: Path) -> None:
    paths = [data, *data.rglob("*")]
    assert [path for path in paths if path.lstat().st_mode & 0o077] == []


def assert_logged(request_id: str, log: Path, **values: object) -> None:
    """There is one line of this request with these values, in JSON."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if request_id in line]
    (entry,) = (line for line in lines if values.items() <= line.items())
    assert entry["request_id"] == request_id


@pytest.mark.parametrize(
    "name", ["the gateway", pytest.param("Ray's head (gcs_server)", marks=pytest.mark.slow)]
)
def test_up_stops_when_essential_process_dies(tmp_path, name):
    with running(tmp_path) as up:
        processes = up.processes()
        up.process_of(name).kill()
        assert up.process.wait(STOP_WITHIN_S) == 1
        assert up.output.count(f"{name} died; everything is stopped") == 1
        assert_nothing_left(up, processes)


def test_up_stops_at_once_when_interrupted_at_start(tmp_path):
    up = Up(tmp_path)
    until(lambda: any("/raylet" in title for title in up.processes().values()), START_WITHIN_S)
    processes = up.processes()
    up.process.send_signal(signal.SIGINT)
    up.process.wait(ABANDON_WITHIN_S)
    assert "stopping\n" in up.output
    assert not up.ready_file.exists()
    assert_nothing_left(up, processes)
    up.temp.rmdir()


def test_killed_up_leaves_no_process(tmp_path):
    with running(tmp_path) as up:
        processes = up.processes()
        up.process.kill()
        until(lambda: all(is_gone(process) for process in processes), STOP_WITHIN_S)
        assert list(up.temp.glob("ls-*/ray"))
        start(tmp_path, "--bundle", str(tmp_path / "nowhere"), temp=up.temp)
        assert list(up.temp.iterdir()) == [], "the next start removes what the killed one left"


@pytest.mark.slow
def test_two_stacks_serve_side_by_side_over_https(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with running(tmp_path / "a") as first, running(tmp_path / "b", "--tls") as second:
        assert first.url.startswith("http://")
        assert second.url.startswith("https://")
        assert first.post().status_code == second.post().status_code == 200
        refused = start(tmp_path / "a")
        assert refused.returncode == 2
        (line,) = refused.stderr.splitlines()
        assert f"is in use by another `lesionserve up` (process {first.process.pid})" in line
        with pytest.raises(httpx.ConnectError, match="certificate"):
            httpx.get(f"{second.url}/healthz")
        assert second.post(key=first.key).status_code == 401


def start(folder: Path, *options: str, temp: Path | None = None) -> subprocess.CompletedProcess:
    command = [COMMAND, "up", "--data", folder / "data", *options]
    environment = os.environ if temp is None else {**os.environ, "TMPDIR": str(temp)}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=START_WITHIN_S
    )


def test_missing_bundle_fails_without_traceback(tmp_path):
    done = start(tmp_path, "--bundle", str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("lesionserve: no bundle: ")
    assert "Traceback" not in done.stderr


def test_error_names_port_in_use(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = start(tmp_path, "--port", str(port))
    assert done.returncode == 2
    assert f"port {port}: Address already in use" in done.stderr


def test_refused_profile_is_misuse_and_leaves_no_database(tmp_path):
    profile = tmp_path / "profile.yaml"
    profile.write_text("applications: []")
    done = start(tmp_path, "--config", str(profile))
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith(f"lesionserve: {profile}: ")
    assert list((tmp_path / "data").glob("*.sqlite3")) == []
