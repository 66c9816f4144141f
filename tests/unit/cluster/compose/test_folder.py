"""The folder of a Compose installation."""

import os
import re
import ssl
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from cryptography import x509

from cluster.compose.__main__ import main
from cluster.compose.folder import Folder
from cluster.compose.nginx_sites import gateway_site, ingress_site
from cluster.errors import StackError
from gateway.environment import Environment

HOST = "lesionserve.example"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clinic") / "new"
    Folder(path, HOST).fill()
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_second_run_overwrites_nothing(tmp_path):
    Folder(tmp_path, HOST).fill()
    (tmp_path / ".env").write_text("changed by hand")
    before = content(tmp_path)
    again = Folder(tmp_path, "other.example")
    again.fill()
    assert content(tmp_path) == before
    assert again.made == []


def test_missing_files_are_made_again(tmp_path):
    Folder(tmp_path, HOST).fill()
    before = content(tmp_path)
    for name in ("secrets/nginx.pem", "secrets/database_url", "config/nginx/gateway.conf"):
        (tmp_path / name).unlink()
    again = Folder(tmp_path, HOST)
    again.fill()
    after = content(tmp_path)
    assert sorted(name for name in before if before[name] != after[name]) == ["secrets/nginx.pem"]
    assert after["tls/ca.pem"] == before["tls/ca.pem"]
    assert len(again.made) == 3


def test_one_redis_secret_without_the_other_is_refused(tmp_path):
    Folder(tmp_path, HOST).fill()
    (tmp_path / "secrets/redis.conf").unlink()
    with pytest.raises(StackError, match=r"redis\.conf and redis_url"):
        Folder(tmp_path, HOST).fill()


def test_secrets_are_closed_to_other_users(folder):
    for name in ("secrets", "tls", "backups"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o700, name
    for path in (folder / "secrets").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o444, "containers have users of their own"
    assert stat.S_IMODE((folder / "tls/ca.key").stat().st_mode) == 0o600


def test_no_secret_is_outside_the_private_folders(folder):
    values = [
        path.read_text().strip()
        for path in (folder / "secrets").iterdir()
        if not path.name.endswith((".pem", ".conf"))
    ]
    assert len(values) == 9
    assert len(set(values)) == 9
    assert all(len(value) >= 20 for value in values)
    for name, text in content(folder).items():
        if not name.startswith(("secrets/", "tls/")):
            assert not any(value.encode() in text for value in values), name
            assert b"PRIVATE KEY" not in text, name


def test_gateway_accepts_settings_and_secrets(folder):
    compose = yaml.safe_load((folder / "compose.yaml").read_text())
    variables = {}
    for name, value in compose["x-gateway"]["environment"].items():
        value = re.sub(r"\$\{LESIONSERVE_HOST:\?\}", HOST, value)
        value = value.replace("/run/secrets", str(folder / "secrets"))
        variables[name] = value.replace("/etc/lesionserve", str(folder / "config"))
    environment = Environment.read(variables)
    assert environment.allowed_hosts == [HOST]
    assert set(environment.certificates()) == {"upstream_ca", "upstream_certificate", "nginx"}
    password = (folder / "secrets/postgres_password").read_text().strip()
    assert environment.databases()["default"]["PASSWORD"] == password
    assert urlsplit(environment.redis_url).password in (folder / "secrets/redis.conf").read_text()


def test_certificates_are_for_their_hosts(folder):
    context = ssl.create_default_context(cafile=str(folder / "config/tls/ca.pem"))
    hosts = {"nginx": HOST, "ingress": "ingress", "gateway": "gateway"}
    for name, host in hosts.items():
        path = folder / f"secrets/{name}.pem"
        context.load_cert_chain(path)
        (certificate,) = x509.load_pem_x509_certificates(path.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert host in names.get_values_for_type(x509.DNSName)
    public = (folder / "config/tls/nginx.crt").read_text()
    assert public in (folder / "secrets/nginx.pem").read_text()


def test_settings_name_host_version_and_owner(folder):
    lines = (folder / ".env").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if re.match("[A-Z]", line))
    assert settings["LESIONSERVE_HOST"] == HOST
    assert re.fullmatch(r"\d+\.\d+\.\d+", settings["LESIONSERVE_VERSION"])
    user = os.geteuid() or 1000
    assert settings["LESIONSERVE_BACKUP_USER"].startswith(f"{user}:")
    used = set(re.findall(r"\$\{(\w+)", (folder / "compose.yaml").read_text()))
    assert used == settings.keys() - {"COMPOSE_FILE"}


def test_defaults_of_compose_file_are_those_of_settings(folder):
    lines = (folder / ".env").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if re.match("[A-Z]", line))
    text = (folder / "compose.yaml").read_text()
    for name, default in re.findall(r"\$\{(\w+):-([^}]*)\}", text):
        if name != "LESIONSERVE_BACKUP_USER":
            assert settings[name] == default, name


@pytest.mark.parametrize("site", [gateway_site(HOST), ingress_site()], ids=["gateway", "ingress"])
def test_sites_have_no_name_of_another_machine(site):
    directives = re.sub("#.*", "", site)
    assert "127.0.0.1:" not in directives
    assert "/var/log" not in directives
    assert not re.search(r"^upstream", directives, re.MULTILINE)
    assert not re.search(r"\.example\b", directives.replace(HOST, ""))


@pytest.mark.parametrize("host", ["Clinic.example", "clinic.example:443", "-a", "a b", "", "*"])
def test_wrong_host_is_refused(tmp_path, host, capsys):
    with pytest.raises(SystemExit) as refusal:
        main([str(tmp_path / "new"), f"--host={host}"])
    assert refusal.value.code == 2
    assert "--host" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_command_says_what_it_made_and_kept(tmp_path, capsys):
    assert main([str(tmp_path), "--host", "10.0.0.5"]) == 0
    assert re.search(r": \d+ files made, 0 kept", capsys.readouterr().out)
    assert main([str(tmp_path), "--host", "10.0.0.5"]) == 0
    assert re.search(r": 0 files made, \d+ kept", capsys.readouterr().out)


def test_file_in_place_of_folder_is_refused(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main([str(tmp_path / "file"), "--host", HOST]) == 1
    assert "file" in capsys.readouterr().err
