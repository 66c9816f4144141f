"""Name the address of static files by their content, so that a browser keeps them for good."""

from collections.abc import Iterable, MutableMapping
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

_DIGITS = 12
# Other packages with static files, which change with their versions.
_PACKAGES = ("django", "django-ninja")


def static_address(gateway: Path) -> str:
    """Return `/static/<digest>/`: the digest of the package's static files, and of other packages'
    versions.

    All modules of a page have relative addresses, so they come from one version of the gateway or
    not at all.
    """
    digest = sha256(" ".join(map(version, _PACKAGES)).encode())
    for path in sorted(_files(gateway)):
        content = sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(gateway).as_posix()} {content}\n".encode())
    return f"/static/{digest.hexdigest()[:_DIGITS]}/"


def keep_for_good(headers: MutableMapping[str, str], path: str, url: str) -> None:
    """Set the header by which a browser keeps a static file, and does not ask for it again."""
    headers["Cache-Control"] = "max-age=31536000, public, immutable"


def _files(gateway: Path) -> Iterable[Path]:
    return (path for path in gateway.glob("*/static/**/*") if path.is_file())
