"""The folder of a Compose installation: compose.yaml, .env, secrets, certificates, configurations.

Nothing that exists is ever overwritten: a secret that is lost cannot be made again, and a
configuration may have been changed by hand.
"""

import os
import secrets
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from cluster.compose import monitoring, nginx_sites
from cluster.errors import StackError
from cluster.files import write_whole
from cluster.launcher.certificates import Authority
from cluster.paths import MONITORING

_HERE = Path(__file__).parent
_TLS_PORT = 9443  # of nginx, within the networks
_LOOPBACK = ("localhost", "127.0.0.1")
# The images' own user, who writes the backups where root has made the folder.
_IMAGE_USER = 1000
_SECRET_MODE = 0o444  # each container has a user of its own; others do not get into the folder


class Folder:
    """The installation's folder, and what was made in it by this object."""

    def __init__(self, path: Path, host: str) -> None:
        self._path, self._host = path, host
        self.made: list[str] = []
        self.kept: list[str] = []

    def fill(self) -> None:
        """Make what is missing. Raise StackError, and OSError where files cannot be written."""
        self._path.mkdir(parents=True, exist_ok=True)
        self._make_private_folders()
        self._make_secrets()
        self._make_certificates()
        self._make_configurations()
        self._make_compose_files()

    def _make_private_folders(self) -> None:
        for name in ("secrets", "tls", "backups"):
            (self._path / name).mkdir(mode=0o700, exist_ok=True)
            (self._path / name).chmod(0o700)
        (self._path / "models").mkdir(exist_ok=True)
        if os.geteuid() == 0:
            os.chown(self._path / "backups", _IMAGE_USER, _IMAGE_USER)

    def _make_secrets(self) -> None:
        for name in ("secret_key", "audit_key", "service_token", "alerts_token", "ray_token"):
            self._secret(name, lambda: secrets.token_hex(32))
        self._secret("postgres_password", lambda: secrets.token_hex(32))
        self._secret("grafana_password", lambda: secrets.token_urlsafe(16))
        self._secret(
            "database_url",
            lambda: (
                f"postgresql://lesionserve:{self._read('postgres_password')}"
                "@postgres:5432/lesionserve"
            ),
        )
        redis_password = secrets.token_hex(32)
        if self._exists("redis.conf") != self._exists("redis_url"):
            raise StackError(
                f"{self._path / 'secrets'}: redis.conf and redis_url hold one password; remove "
                "the one that is left, and both are made",
                exit_status=2,
            )
        self._secret("redis_url", lambda: f"redis://:{redis_password}@redis:6379/0")
        self._secret(
            "redis.conf",
            lambda: (
                f'requirepass {redis_password}\nbind 0.0.0.0\nsave ""\nappendonly no\n'
                "dir /data\nmaxmemory 256mb\nmaxmemory-policy volatile-ttl"
            ),
        )

    def _make_certificates(self) -> None:
        names = {
            "nginx.pem": [self._host, *_LOOPBACK],
            "ingress.pem": ["ingress"],
            "gateway.pem": ["gateway"],
        }
        authority = Authority.kept_in(self._path / "tls")
        self._file("config/tls/ca.pem", authority.path.read_text)
        for name, hosts in names.items():
            path = self._path / "secrets" / name
            if self._is_new(path):
                authority.issue(path, hosts).chmod(_SECRET_MODE)
        self._file("config/tls/nginx.crt", self._certificate_of_nginx)

    def _make_configurations(self) -> None:
        self._file("config/nginx/gateway.conf", lambda: nginx_sites.gateway_site(self._host))
        self._file("config/nginx/ingress.conf", nginx_sites.ingress_site)
        for name in ("main.conf", "start"):
            self._file(f"config/nginx/{name}", (_HERE / "nginx" / name).read_text)
        url = f"https://{self._host}:{_TLS_PORT}"
        self._file("config/alertmanager/alertmanager.yml", lambda: monitoring.alertmanager(url))
        self._file("config/prometheus/prometheus.yml", lambda: monitoring.prometheus(self._host))
        for path in sorted((MONITORING / "rules").glob("*.yml")):
            self._file(f"config/prometheus/rules/{path.name}", path.read_text)
        grafana = "config/grafana/provisioning"
        self._file(f"{grafana}/datasources/lesionserve.yaml", monitoring.grafana_datasources)
        self._file(f"{grafana}/dashboards/lesionserve.yaml", monitoring.grafana_dashboards)
        for path in sorted((MONITORING / "grafana/dashboards").glob("*.json")):
            self._file(f"config/grafana/dashboards/{path.name}", path.read_text)

    def _make_compose_files(self) -> None:
        for path in sorted(_HERE.glob("compose*.yaml")):
            self._file(path.name, path.read_text)
        self._file(".env", lambda: _settings(self._host))

    def _certificate_of_nginx(self) -> str:
        """Return nginx's certificate without its key, for the gateway, which watches its expiry."""
        text = self._read("nginx.pem")
        return text[text.index("-----BEGIN CERTIFICATE") :] + "\n"

    def _secret(self, name: str, content: Callable[[], str]) -> None:
        self._file(f"secrets/{name}", lambda: f"{content()}\n", _SECRET_MODE)

    def _file(self, name: str, content: Callable[[], str], mode: int = 0o644) -> None:
        path = self._path / name
        if self._is_new(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content().encode())
            path.chmod(mode)

    def _is_new(self, path: Path) -> bool:
        name = str(path.relative_to(self._path))
        exists = os.path.lexists(path)
        (self.kept if exists else self.made).append(name)
        return not exists

    def _exists(self, secret: str) -> bool:
        return (self._path / "secrets" / secret).exists()

    def _read(self, secret: str) -> str:
        return (self._path / "secrets" / secret).read_text(encoding="utf-8").strip()


def _settings(host: str) -> str:
    user = os.geteuid() or _IMAGE_USER
    group = os.getegid() if os.geteuid() else _IMAGE_USER
    text = (_HERE / "env.example").read_text(encoding="utf-8")
    values = {
        "LESIONSERVE_VERSION": version("lesionserve"),
        "LESIONSERVE_HOST": host,
        "LESIONSERVE_BACKUP_USER": f"{user}:{group}",
    }
    for name, value in values.items():
        line = f"\n{name}=\n"
        assert line in text, name
        text = text.replace(line, f"\n{name}={value}\n")
    return text
