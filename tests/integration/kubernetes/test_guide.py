"""The commands of docs/deploy/kubernetes.md, as far as they need no cluster."""

import base64
import re
import shlex
import shutil
import ssl
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
import yaml
from django.core.management import get_commands, load_command_class

from cluster.cli.main import app
from cluster.kubernetes.__main__ import app as kubernetes
from gateway.environment import SECRETS as GATEWAY_SECRETS
from gateway.environment import Environment
from serve_app.paths import ROOT
from serve_app.tokens import MIN_LENGTH
from tests.integration.kubernetes.manifests import Manifest, needs_kustomize
from tests.integration.kubernetes.references import SECRETS

GUIDE = (ROOT / "docs/deploy/kubernetes.md").read_text(encoding="utf-8")
BLOCKS = [
    "\n".join(line.removeprefix("   ") for line in block.splitlines())
    for block in re.findall(r"^ *```sh\n(.*?)^ *```$", GUIDE, re.MULTILINE | re.DOTALL)
]
# Made without a server; several documents in a row.
_KUBECTL = 'kubectl() { echo ---; command kubectl "$@" --dry-run=client -o yaml; }\n'

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


def block_with(text: str) -> str:
    (block,) = [block for block in BLOCKS if text in block]
    return block


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guide")


@pytest.fixture(scope="module")
def secrets(folder: Path) -> dict[str, dict[str, str]]:
    """Return the content of each Secret that the guide has an operator make."""
    certificates = block_with("certificate gateway lesionserve-gateway")
    script = [
        "set -eu",
        _KUBECTL,
        certificates,
        "cp tls/gateway.crt fullchain.pem; cp tls/gateway.key privkey.pem; echo ls_ > probe.key",
        block_with("secret generic lesionserve-gateway -n"),
        block_with("secret generic lesionserve-postgresql"),
        block_with("secret tls lesionserve-edge-tls"),
        block_with("lesionserve-probe").partition("> probe.key\n")[2].replace("rm probe.key", ""),
    ]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    manifests: list[Manifest] = [one for one in yaml.safe_load_all(done.stdout) if one]
    return {
        manifest["metadata"]["name"]: {
            key: base64.b64decode(value).decode() for key, value in manifest["data"].items()
        }
        for manifest in manifests
    }


@needs_kustomize
@needs_openssl
def test_guide_makes_each_secret_that_manifests_name(secrets):
    assert {name: set(values) for name, values in secrets.items()} == SECRETS


@needs_kustomize
@needs_openssl
def test_gateway_accepts_secrets_of_guide(secrets):
    values = secrets["lesionserve-gateway"]

    settings = Environment.read(values)

    assert values.keys() <= set(GATEWAY_SECRETS)
    options = settings.databases()["default"]["OPTIONS"]
    assert options["sslmode"] == "verify-full"
    assert options["sslrootcert"] == "/etc/lesionserve/authority/ca.crt"


@needs_kustomize
@needs_openssl
def test_both_halves_get_the_same_service_token(secrets):
    token = secrets["lesionserve-gateway"]["LESIONSERVE_SERVICE_TOKEN"]

    assert secrets["lesionserve-inference"]["LESIONSERVE_SERVICE_TOKENS"] == token
    assert len(token) >= MIN_LENGTH


@needs_kustomize
@needs_openssl
def test_passwords_of_urls_are_those_of_servers(secrets):
    values = secrets["lesionserve-gateway"]

    assert f":{secrets['lesionserve-redis']['password']}@" in values["LESIONSERVE_REDIS_URL"]
    assert f":{secrets['lesionserve-postgresql']['password']}@" in values["DATABASE_URL"]


@needs_kustomize
@needs_openssl
@pytest.mark.parametrize(
    ("half", "name"),
    [
        ("gateway", "lesionserve-gateway.lesionserve.svc"),
        ("inference", "lesionserve-inference-serve-svc"),
        ("postgresql", "lesionserve-postgresql"),
    ],
)
def test_certificate_of_guide_is_trusted_under_its_name(secrets, folder, half, name):
    files = secrets[f"lesionserve-{half}-tls"]
    for key in ("tls.crt", "tls.key", "ca.crt"):
        (folder / key).write_text(files[key])
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    client_context = ssl.create_default_context(cafile=folder / "ca.crt")

    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client.getpeercert()


def test_guide_names_files_and_components_that_exist():
    for path in set(re.findall(r"\b(?:cluster|configs)/[\w./-]+\.yaml\b", GUIDE)):
        if "overlays/clinic/" not in path:
            assert (ROOT / path).is_file(), path
    folder = ROOT / "cluster/kubernetes"
    for name in re.findall(r"`((?:components|overlays)/[\w-]+)`", GUIDE):
        assert (folder / name).is_dir(), name
    parts = {path.name for path in (folder / "components").iterdir()}
    assert parts == set(re.findall(r"`components/([\w-]+)` \|", GUIDE))


def commands_with(program: str) -> list[list[str]]:
    """Return the arguments of each call of a program in the guide's commands."""
    text = "\n".join(BLOCKS).replace("\\\n", " ")
    found = re.findall(rf"{re.escape(program)} ([^\n<>;']+)", text)
    assert found, program
    return [shlex.split(arguments) for arguments in found]


def test_lesionserve_takes_commands_of_guide():
    group = typer.main.get_command(app)
    for name in ("deploy", "verify"):
        for arguments in commands_with(f"lesionserve {name}"):
            group.commands[name].make_context(name, list(arguments))
    (check,) = commands_with("lesionserve deploy")
    assert "--check-only" in check


def test_gateway_takes_commands_of_guide():
    for name, *arguments in commands_with("gateway.manage"):
        parser = load_command_class(get_commands()[name], name).create_parser("manage", name)
        parser.called_from_command_line = False  # raise, and do not exit
        parser.parse_args(arguments)


def test_writer_takes_commands_of_guide():
    group = typer.main.get_command(kubernetes)
    for name, *arguments in commands_with("python -m cluster.kubernetes"):
        group.commands[name].make_context(name, arguments)


def test_guide_waits_for_job_of_this_version():
    assert f"job/lesionserve-migrate-{version('lesionserve').replace('.', '-')} " in GUIDE
