"""What belongs into the folder of a Space, and what must not be in it."""

import re
import subprocess
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from cluster.errors import StackError
from pipeline.text import few

# The folder's own files come from cluster/space.
OWN = ("README.md", "Dockerfile")
# Of the repository, what the image is built from; `*` matches a slash, too.
_WANTED = (
    "LICENSE",
    "constraints.txt",
    "pyproject.toml",
    "pipeline/*.py",
    "serve_app/*.py",
    "gateway/*.py",
    "gateway/*.html",
    "gateway/*.mo",
    "gateway/*.typ",
    "gateway/*/static/*.css",
    "gateway/*/static/*.js",
    "gateway/*/static/*.svg",
    "gateway/*/static/*.jpg",
    "cluster/__init__.py",
    "cluster/errors.py",
    "cluster/files.py",
    "cluster/paths.py",
    "cluster/signal_scope.py",
    "cluster/cli/*.py",
    "cluster/deploy/*.py",
    "cluster/launcher/*.py",
    "configs/serve/local.yaml",
    "configs/serve/space.yaml",
    "weights/example.jpg",
    "weights/demo/manifest.json",
    "weights/demo/mask_rcnn_config.yaml",
    "weights/demo/model.pth",
    "weights/demo/profile.json",
    "weights/demo/golden/*.jpg",
    "weights/demo/golden/*.json",
    "weights/demo/int8/*.bin",
    "weights/demo/int8/*.xml",
    "weights/demo/openvino/*.bin",
    "weights/demo/openvino/*.xml",
)
_BINARY = (".pth", ".bin", ".jpg", ".mo")
_MAX_FILE_BYTES = 10_000_000  # the hub takes larger files in its large-file storage only
_MAX_BYTES = 30_000_000
_SECRETS = {
    "a private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{16}"),
    "an API key of lesionserve": re.compile(rb"ls_[0-9a-f]{12}_[0-9a-f]{64}_[0-9a-f]{8}"),
    "a token of the hub": re.compile(rb"\bhf_[A-Za-z0-9]{30,}"),
    "a token of a code host": re.compile(rb"\b(gh[pousr]_|github_pat_)[A-Za-z0-9_]{30,}"),
    "a key of a cloud": re.compile(rb"\b(AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a secret of the gateway": re.compile(
        rb"^(LESIONSERVE_(SECRET_KEY|AUDIT_KEY|SERVICE_TOKENS?)|RAY_AUTH_TOKEN)=[^\s#]{8,}", re.M
    ),
}


@dataclass(frozen=True)
class Entry:
    """A file of the folder: its path there, and where it comes from."""

    path: str
    source: Path


def entries(root: Path) -> list[Entry]:
    """Return the files of the folder, by path: of the repository only those that git tracks.

    So no file that lies about in the working tree is published. Raise StackError.
    """
    own = [Entry(name, root / "cluster" / "space" / name) for name in OWN]
    tracked = _listed(root, "--cached")
    wanted = {name: [path for path in tracked if fnmatchcase(path, name)] for name in _WANTED}
    if missing := [name for name, paths in wanted.items() if not paths]:
        raise StackError(f"git tracks no {few(missing)}, which the image is built from")
    others = [Entry(path, root / path) for paths in wanted.values() for path in paths]
    return sorted([*own, *others], key=lambda entry: entry.path)


def left_out(root: Path) -> list[str]:
    """Return the files that belong to the folder by their names, but that git does not track."""
    others = _listed(root, "--others", "--exclude-standard")
    return [path for path in others if any(fnmatchcase(path, name) for name in _WANTED)]


def read_checked(entry: Entry) -> bytes:
    """Return the content of a file that may be published. Raise StackError."""
    if entry.source.is_symlink() or not entry.source.is_file():
        raise StackError(f"{entry.source}: not a regular file; restore it with git")
    content = entry.source.read_bytes()
    if len(content) > _MAX_FILE_BYTES:
        raise StackError(f"{entry.path}: {len(content)} bytes; a Space takes {_MAX_FILE_BYTES}")
    for secret, pattern in _SECRETS.items():
        if pattern.search(content):
            raise StackError(f"{entry.path} holds {secret}; take it out, and revoke it")
    if entry.source.suffix not in _BINARY:
        try:
            content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise StackError(f"{entry.path} is not a text file") from error
    return content


def check_size(contents: dict[str, bytes]) -> int:
    """Return the bytes of all files. Raise StackError for more than a demo should have."""
    size = sum(len(content) for content in contents.values())
    if size > _MAX_BYTES:
        raise StackError(f"the folder would have {size} bytes; at most {_MAX_BYTES} are expected")
    return size


def _listed(root: Path, *options: str) -> list[str]:
    command = ["git", "-C", str(root), "ls-files", "-z", *options]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise StackError(f"{root}: a clone of the repository and git are needed") from error
    return [path for path in listing.split("\0") if path]
