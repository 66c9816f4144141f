import os
import stat
from pathlib import Path

import pytest

from cluster.files import write_secret


def test_rewritten_secret_is_private(tmp_path: Path):
    (tmp_path / "s").touch(mode=0o644)
    write_secret(tmp_path / "s", b"new")
    assert (tmp_path / "s").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_failed_write_leaves_old_file(tmp_path: Path, monkeypatch, step):
    def fail(*_):
        raise OSError("no space left")

    write_secret(tmp_path / "s", b"old")
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="no space left"):
        write_secret(tmp_path / "s", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]
