"""The configurations of a Compose installation, read by the programs that they are for."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.monitoring.rules import needs_promtool, promtool
from tests.unit.cluster.compose.project import made_folder

PATHS = {"/run/secrets": "secrets", "/etc/lesionserve/tls": "config/tls"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_folder(tmp_path_factory.mktemp("clinic"))


def text_here(folder: Path, name: str) -> str:
    """The content of a file, with its paths in a container replaced by those in the folder."""
    text = (folder / name).read_text()
    for path, place in PATHS.items():
        text = text.replace(path, str(folder / place))
    return text


@needs_promtool
def test_promtool_accepts_configuration_and_rules(folder):
    checked = promtool("check", "config", folder / "config/prometheus/prometheus.yml")
    assert checked.returncode == 0, checked.stderr
    rules = len(list((folder / "config/prometheus/rules").iterdir()))
    assert f"{rules} rule files found" in checked.stdout


def test_amtool_accepts_configuration(folder, tmp_path):
    if shutil.which("amtool") is None:
        pytest.skip("amtool is not installed (Debian: prometheus-alertmanager)")
    path = tmp_path / "alertmanager.yml"
    path.write_text(text_here(folder, "config/alertmanager/alertmanager.yml"))
    checked = subprocess.run(["amtool", "check-config", path], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert "lesionserve.example:9443/operations/alerts" in path.read_text()


@pytest.mark.parametrize("site", ["gateway", "ingress"])
def test_nginx_accepts_site(folder, tmp_path, site):
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if nginx is None:
        pytest.skip("nginx is not installed (Debian: nginx-light)")
    (tmp_path / "resolver.conf").write_text("resolver 127.0.0.11 valid=5s ipv6=off;\n")
    (tmp_path / "site.conf").write_text(text_here(folder, f"config/nginx/{site}.conf"))
    main = (folder / "config/nginx/main.conf").read_text()
    main = re.sub("(/tmp|/etc/lesionserve/nginx)/", f"{tmp_path}/", main)
    (tmp_path / "main.conf").write_text(main)
    command = [nginx, "-t", "-c", tmp_path / "main.conf", "-e", tmp_path / "error.log"]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
