"""The gateway as a process of its own, with nothing but its environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from serve_app.paths import ROOT

HEAVY = ["torch", "torchvision", "ray", "cv2", "openvino", "fastapi", "detectron2", "serve_app"]


@pytest.fixture
def environment(tmp_path):
    return {
        "PATH": os.environ["PATH"],
        "LESIONSERVE_SECRET_KEY": "k" * 50,
        "LESIONSERVE_SERVICE_TOKEN": "t" * 32,
        "LESIONSERVE_AUDIT_KEY": "a" * 32,
        "DATABASE_URL": f"sqlite:///{tmp_path}/gateway.sqlite3",
    }


def run(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, **options
    )


def test_gateway_imports_neither_torch_nor_ray(environment):
    code = f"import sys; sys.modules.update(dict.fromkeys({HEAVY!r})); import gateway.asgi"
    done = run("-c", code, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_gateway_without_endpoint_imports_no_opentelemetry(environment):
    code = (
        "import sys; import gateway.asgi\n"
        "sys.exit([name for name in sys.modules if name.startswith('opentelemetry')] != [])"
    )
    done = run("-c", code, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_endpoint_without_tracing_extra_stops_start(environment):
    environment["LESIONSERVE_OTLP_ENDPOINT"] = "http://collector:4318"
    code = "import sys; sys.modules['opentelemetry'] = None; import gateway.asgi"
    done = run("-c", code, env=environment, cwd=ROOT)
    assert done.returncode != 0
    assert "LESIONSERVE_OTLP_ENDPOINT: tracing needs its extra" in done.stderr
    assert "lesionserve[tracing]" in done.stderr


def test_unmigrated_database_is_not_ready(environment):
    ask = "import django; django.setup(); from gateway.database import ping; ping()"
    named = {**environment, "DJANGO_SETTINGS_MODULE": "gateway.settings"}
    before = run("-c", ask, env=named, cwd=ROOT)
    assert before.returncode == 1
    assert "gateway.manage migrate" in before.stderr
    assert run("-m", "gateway.manage", "migrate", "-v0", env=environment, cwd=ROOT).returncode == 0
    assert run("-c", ask, env=named, cwd=ROOT).returncode == 0


def test_manage_works_as_module_and_as_file(environment, tmp_path):
    manage = str(ROOT / "gateway" / "manage.py")
    migrated = run("-m", "gateway.manage", "migrate", "-v0", env=environment, cwd=ROOT)
    assert migrated.returncode == 0, migrated.stderr
    issued = run(manage, "issue_key", "--name", "a clinic", env=environment, cwd=tmp_path)
    assert issued.stdout.startswith("ls_"), issued.stderr
    listed = run(manage, "list_keys", env=environment, cwd=tmp_path)
    assert "a clinic" in listed.stdout


def test_migrations_are_complete(environment):
    checked = run("-m", "gateway.manage", "makemigrations", "--check", env=environment, cwd=ROOT)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    "name", ["LESIONSERVE_SECRET_KEY", "LESIONSERVE_SERVICE_TOKEN", "LESIONSERVE_AUDIT_KEY"]
)
def test_gateway_without_secrets_does_not_start(environment, name):
    del environment[name]
    started = run("-c", "import gateway.asgi", env=environment, cwd=ROOT)
    assert started.returncode != 0
    assert f"{name}: required" in started.stderr


def test_command_names_wrong_setting_in_one_line(environment):
    environment["LESIONSERVE_SERVICE_TOKEN"] = "short"
    checked = run("-m", "gateway.manage", "check", env=environment, cwd=ROOT)
    assert checked.returncode == 1
    assert checked.stderr == (
        "error: LESIONSERVE_SERVICE_TOKEN: Value should have at least 32 characters, not 5\n"
    )


COMMANDS = [
    "export_audit", "export_audit --format atna", "verify_audit", "list_keys", "help", "check",
    "showmigrations", "issue_key --name x", "sqlmigrate usage 0001",
]  # fmt: skip


@pytest.fixture
def filled(environment) -> dict[str, str]:
    """A database with enough in it to fill a pipe."""
    assert run("-m", "gateway.manage", "migrate", "-v0", env=environment, cwd=ROOT).returncode == 0
    code = (
        "import django; django.setup()\n"
        "from gateway.audit.events import Actor, record_event\n"
        "from gateway.audit.models import Event\n"
        "from tests.clinics import issue_key\n"
        "for number in range(400):\n"
        "    record_event(Event.Action.USAGE_READ, Actor('user:' + 'x' * 150))\n"
        "issue_key()\n"
    )
    named = {**environment, "DJANGO_SETTINGS_MODULE": "gateway.settings"}
    assert run("-c", code, env=named, cwd=ROOT).returncode == 0
    return environment


def test_command_with_closed_output_ends_quietly(filled):
    for command in COMMANDS:
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [sys.executable, "-m", "gateway.manage", *command.split()],
            env=filled, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=120,
        )  # fmt: skip
        os.close(writing)
        assert "Traceback" not in done.stderr, (command, done.stderr)
        assert "BrokenPipe" not in done.stderr, (command, done.stderr)
        assert done.returncode == 141, (command, done.returncode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full device")
def test_command_with_full_disk_names_reason(filled):
    for command in ("export_audit", "list_keys", "verify_audit"):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "gateway.manage", command],
                env=filled, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120,
            )  # fmt: skip
        assert done.stderr.endswith("The output cannot be written: No space left on device.\n"), (
            done.stderr
        )
        assert done.returncode == 1
