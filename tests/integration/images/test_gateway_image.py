"""The gateway's image: built, read, and run without rights."""

import json
import re

import pytest

from serve_app.paths import ROOT
from tests.integration.images.base import base_image
from tests.integration.images.builds import MARK, VERSION, build, built
from tests.integration.images.containers import ANY_USER, run_in
from tests.integration.images.engine import inspect, podman, run, skip_unless_usable

pytestmark = pytest.mark.images
MOST_BYTES = 300_000_000  # on top of the base
SECRET = "a secret that is good enough for nothing but tests, and long"
SETTINGS = (
    *("--env", f"LESIONSERVE_SECRET_KEY={SECRET}", "--env", f"LESIONSERVE_AUDIT_KEY={SECRET}"),
    *("--env", f"LESIONSERVE_SERVICE_TOKEN={SECRET}"),
    *("--env", "DATABASE_URL=sqlite:////tmp/lesionserve.sqlite3"),
)


@pytest.fixture(scope="module")
def image() -> str:
    skip_unless_usable()
    return built("gateway")


def python(image: str, code: str) -> str:
    return run_in(image, "python", "-c", code, options=(*ANY_USER, *SETTINGS))


def test_image_is_small(image):
    size = inspect(image)["Size"] - inspect(base_image())["Size"]
    print(f"lesionserve-gateway: {size / 1e6:.0f} MB on top of the base")
    assert size < MOST_BYTES


def test_image_has_neither_torch_nor_ray_nor_compiler(image):
    heavy = ("torch", "torchvision", "ray", "cv2", "openvino", "fastapi", "pip")
    found = f"[n for n in {heavy} if importlib.util.find_spec(n)]"
    assert python(image, f"import importlib.util, gateway.asgi; print({found})") == "[]"
    tools = ("gcc", "cc", "g++", "clang", "ld", "as", "make", "curl")
    assert python(image, f"import shutil; print([t for t in {tools} if shutil.which(t)])") == "[]"


def test_versions_are_those_of_constraints(image):
    code = (
        "import json, importlib.metadata as m; "
        "print(json.dumps({d.metadata['Name']: d.version for d in m.distributions()}))"
    )
    pinned = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line
    )
    installed = {
        re.sub(r"[-_.]+", "-", name).lower(): version
        for name, version in json.loads(python(image, code)).items()
    }
    assert installed.pop("lesionserve") == VERSION
    assert len(installed) > 40
    assert installed.items() - pinned.items() == set()


def test_labels_tell_version_revision_and_time(image):
    labels = inspect(image)["Labels"]
    revision = run("git", "rev-parse", "HEAD", cwd=ROOT).stdout.strip()
    assert labels["org.opencontainers.image.version"] == VERSION
    assert labels["org.opencontainers.image.revision"].removesuffix("-changed") == revision
    time = run("git", "log", "-1", "--format=%cI", cwd=ROOT).stdout
    assert labels["org.opencontainers.image.created"][:10] == time[:10]
    assert inspect(image)["Created"][:19] == labels["org.opencontainers.image.created"][:19]


def test_sbom_lists_what_is_installed(image):
    bom = json.loads(run_in(image, "cat", "/opt/lesionserve/sbom.cdx.json"))
    names = {component["purl"].partition("@")[0] for component in bom["components"]}
    assert {"pkg:pypi/django", "pkg:pypi/pydantic", "pkg:deb/debian/libc6"} <= names
    count = python(image, "import importlib.metadata as m; print(len(list(m.distributions())))")
    own = bom["metadata"]["component"]
    assert (own["name"], own["version"]) == ("lesionserve", VERSION)
    assert len([name for name in names if name.startswith("pkg:pypi/")]) + 1 == int(count)
    assert len([name for name in names if name.startswith("pkg:deb/")]) > 50


def test_no_setting_of_the_builder_is_in_the_image(image):
    """Neither in a file, nor in the configuration and history."""
    assert MARK not in podman("image", "inspect", image)
    assert MARK not in podman("history", "--no-trunc", image)
    assert run_in(image, "sh", "-c", "ls /etc/pip.conf /run/secrets 2>&1 || true").count("No") >= 1
    found = run_in(
        image,
        *("sh", "-c", f"grep -rlF {MARK} / --exclude-dir=proc --exclude-dir=sys || echo nothing"),
        options=("--user", "0:0"),
    )
    assert found.splitlines()[-1] == "nothing"


def test_code_is_of_root_and_nobody_can_write_it(image):
    code = "find /opt/lesionserve ! -user root -o -perm /022 ! -type l | head"
    assert run_in(image, "sh", "-c", code) == ""
    assert inspect(image)["User"] == "1000:1000"
    failed = run_in(image, "sh", "-c", "touch /opt/lesionserve/x /x 2>&1 || echo refused")
    assert failed.splitlines()[-1] == "refused"


def test_any_user_can_run_commands_and_server(image):
    """On a read-only file system, with the command and the health check of the image."""
    options = (*ANY_USER, *SETTINGS)
    settings = "LESIONSERVE_SECOND_FACTOR=true LESIONSERVE_REQUIRE_SECOND_FACTOR=all"
    check_all = f"{settings} python -m gateway.manage check --deploy --fail-level WARNING 2>&1"
    assert "The database is " in run_in(image, "sh", "-c", check_all, options=options)
    details = inspect(image)
    health = details["Healthcheck"]["Test"]
    assert health[0] == "CMD"
    server = " ".join(f"'{word}'" for word in details["Config"]["Cmd"])
    check = " ".join(f"'{word}'" for word in health[1:])
    script = (
        f"python -m gateway.manage migrate -v0 && {{ {server} & }}; "
        f"for i in $(seq 100); do {check} 2>/dev/null && break; sleep 0.3; done; "
        f"{check} && echo healthy; kill %1 2>/dev/null || kill $!"
    )
    assert "healthy" in run_in(image, "sh", "-c", script, options=options).splitlines()


def test_gateway_does_not_start_without_secrets(image):
    script = "python -m gateway.manage check 2>&1 || true"
    output = run_in(image, "sh", "-c", script)
    assert "LESIONSERVE_SECRET_KEY" in output
    assert "Traceback" not in output


def test_secrets_are_read_from_files(image, tmp_path):
    options = ["--env", "DATABASE_URL=sqlite:////tmp/lesionserve.sqlite3"]
    for name in ("SECRET_KEY", "AUDIT_KEY", "SERVICE_TOKEN"):
        (tmp_path / name).write_text(f"{SECRET}\n")
        options += ["--env", f"LESIONSERVE_{name}_FILE=/run/secrets/{name}"]
    options += ["--volume", f"{tmp_path}:/run/secrets:ro"]
    tmp_path.chmod(0o755)
    checked = run_in(image, "python", "-m", "gateway.manage", "check", options=tuple(options))
    assert "no issues" in checked


def test_image_makes_its_backups_itself(image):
    assert "PostgreSQL) 15" in run_in(image, "pg_dump", "--version")
    assert "PostgreSQL) 15" in run_in(image, "pg_restore", "--version")


def test_second_build_gives_the_same_layers(image):
    """Without a cache, so that everything is installed and compiled again."""
    layers = inspect(image)["RootFS"]["Layers"]
    build("gateway", "--no-cache")
    assert inspect(image)["RootFS"]["Layers"] == layers
