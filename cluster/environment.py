import secrets
from pathlib import Path
from urllib.parse import quote

_NAME = "gateway.env"
_SECRETS = (
    "LESIONSERVE_SECRET_KEY",
    "LESIONSERVE_AUDIT_KEY",
    "LESIONSERVE_SERVICE_TOKEN",
)


def gateway_environment(data: Path) -> dict[str, str]:
    """The gateway's secrets and its database, made on the first start and kept in `gateway.env`.

    Kept, since the audit trail can be verified only with the key that sealed it; and a shell that
    reads the file can run the gateway's own commands. Only its owner may read it.
    """
    path = data / _NAME
    if not path.exists():
        path.touch(mode=0o600)
        values = {name: secrets.token_urlsafe(50) for name in _SECRETS}
        values["DATABASE_URL"] = f"sqlite:///{quote(str(data / 'lesionserve.sqlite3'))}"
        values["DJANGO_SETTINGS_MODULE"] = "gateway.settings"
        path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
