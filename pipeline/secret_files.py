"""Secrets as files: `NAME_FILE` names the file that holds the value of `NAME`.

Docker, Compose and Kubernetes mount secrets as files. The environment of a process is easier to
read: `docker inspect` and /proc show it.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

SUFFIX = "_FILE"
_MAX_BYTES = 64 * 1024


class SecretFileError(Exception):
    """A secret cannot be read. `str(error)` names the variable, and never the value."""


def read_secret_files(variables: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Return the variables, where each of `names` has the content of its file, if one is named.

    An empty variable beside a file counts as not set. Raise SecretFileError, with a line for each
    file that cannot be used.
    """
    values, errors = dict(variables), []
    for name in names:
        path = variables.get(f"{name}{SUFFIX}")
        if path is None:
            continue
        try:
            if variables.get(name):
                raise SecretFileError(f"{name} is set as well; remove one of the two")
            values[name] = _read(path)
        except SecretFileError as error:
            errors.append(f"{name}{SUFFIX}: {error}")
    if errors:
        raise SecretFileError("\n".join(errors))
    return values


def _read(path: str) -> str:
    if not path:
        raise SecretFileError("no file is named")
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise SecretFileError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > _MAX_BYTES:
        raise SecretFileError(f"{path} holds more than {_MAX_BYTES // 1024} KiB")
    try:
        value = content.decode().strip()
    except UnicodeDecodeError:
        raise SecretFileError(f"{path} is not text in UTF-8") from None
    if not value:
        raise SecretFileError(f"{path} is empty")
    if not value.isprintable():
        raise SecretFileError(f"{path} holds more than one line, or control characters")
    return value
