"""The gateway as a process of its own, with nothing but its environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
HEAVY = ["torch", "torchvision", "ray", "cv2", "pycocotools", "fastapi", "detectron2", "serve_app"]


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


def test_the_gateway_needs_nothing_heavy(environment):
    code = f"import sys; sys.modules.update(dict.fromkeys({HEAVY!r})); import gateway.asgi"
    done = run("-c", code, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_a_database_that_was_not_migrated_is_not_ready(environment):
    ask = "import django; django.setup(); from gateway.database import ping; ping()"
    named = {**environment, "DJANGO_SETTINGS_MODULE": "gateway.settings"}
    before = run("-c", ask, env=named, cwd=ROOT)
    assert before.returncode == 1
    assert "gateway.manage migrate" in before.stderr
    assert run("-m", "gateway.manage", "migrate", "-v0", env=environment, cwd=ROOT).returncode == 0
    assert run("-c", ask, env=named, cwd=ROOT).returncode == 0


def test_both_ways_to_the_commands_work(environment, tmp_path):
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
def test_a_gateway_without_its_secrets_does_not_start(environment, name):
    del environment[name]
    started = run("-c", "import gateway.asgi", env=environment, cwd=ROOT)
    assert started.returncode != 0
    assert f"{name}: required" in started.stderr
