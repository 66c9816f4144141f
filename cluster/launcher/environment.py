import getpass
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from cluster.errors import StackError
from cluster.files import write_secret
from cluster.paths import home

_NAME = "gateway.env"
_SECRETS = ("LESIONSERVE_SECRET_KEY", "LESIONSERVE_AUDIT_KEY", "LESIONSERVE_SERVICE_TOKEN")
_SHORTEST = 32  # the shortest secret that the gateway accepts
_LEAST = dict.fromkeys(_SECRETS, _SHORTEST) | {"DATABASE_URL": 1, "DJANGO_SETTINGS_MODULE": 1}
_NO_HOME = os.devnull  # nobody can make this folder, not even root
_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
_NO_PROXY = ("no_proxy", "NO_PROXY", "no_grpc_proxy")  # gRPC reads its own first


def name_the_user() -> None:
    """Set a name, and a home that does not exist, for an unknown user of this process.

    Some libraries ask for either when they are imported, and end where there is none, as in a
    container that runs under any user id.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = f"uid-{os.getuid()}"
    if home() is None:
        os.environ["HOME"] = _NO_HOME


def child_environment(
    inherited: Mapping[str, str], temp: Path, changes: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of a process that talks to others of this machine.

    A proxy of the surroundings stays set, but no request to the loopback address goes to it.
    """
    hosts = [host for name in _NO_PROXY for host in inherited.get(name, "").split(",")]
    names = dict.fromkeys(host.strip() for host in [*hosts, *_LOOPBACK_HOSTS])
    no_proxy = ",".join(filter(None, names))
    exceptions = dict.fromkeys(_NO_PROXY, no_proxy)
    return {**inherited, "TMPDIR": str(temp), **exceptions, **changes}


def gateway_settings(data: Path) -> dict[str, str]:
    """Return the gateway's secrets and its database, which the first start writes to `gateway.env`.

    They are kept, since the audit trail can be verified only with the key that sealed it; and a
    shell that reads the file can run the gateway's own commands. Only its owner may read it. Raise
    StackError for a file that is not whole, and never make new secrets in its place.
    """
    path = data / _NAME
    if not path.exists():
        values = {name: secrets.token_urlsafe(50) for name in _SECRETS}
        values["DATABASE_URL"] = f"sqlite:///{quote(str(data / 'lesionserve.sqlite3'))}"
        values["DJANGO_SETTINGS_MODULE"] = "gateway.settings"
        lines = [f"{name}={value}\n" for name, value in values.items()]
        write_secret(path, "".join(lines).encode())
    return _read(path)


def _read(path: Path) -> dict[str, str]:
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    values = {name: value for name, _, value in (line.partition("=") for line in lines)}
    cut = [name for name, least in _LEAST.items() if len(values.get(name, "")) < least]
    if cut or not text.endswith("\n"):
        what = ", ".join(cut) or "its last line"
        raise StackError(
            f"{path}: {what} is missing or cut off; restore the file, since the audit trail can be "
            "verified only with its key",
            exit_status=2,
        )
    return values
