import os
import tempfile
from pathlib import Path


def write_secret(path: Path, content: bytes) -> None:
    """Writes a file for its owner alone; after a crash it is whole, or what it was before."""
    descriptor, beside = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
    _keep_name(path.parent)


def _keep_name(folder: Path) -> None:
    # The new name of a file is the folder's, and would else come after what is written next.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
