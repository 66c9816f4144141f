import os
from pathlib import Path

import pytest

from cluster.launcher import temp_folder
from cluster.launcher.temp_folder import make_temp_folder, remove_abandoned


@pytest.fixture
def parent(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(temp_folder, "_parent", lambda: str(tmp_path))
    return tmp_path


def test_removes_only_folders_that_no_process_holds(parent):
    held, lock = make_temp_folder()
    abandoned, gone = make_temp_folder()
    (abandoned / "ray").mkdir()
    (abandoned / "link").symlink_to(held)
    gone.release()
    foreign = parent / "ls-foreign"
    foreign.mkdir()
    (parent / "ls-link").symlink_to(held)
    (parent / "ls-file").touch()
    assert remove_abandoned() == [abandoned]
    assert sorted(parent.iterdir()) == sorted(
        [held, foreign, parent / "ls-link", parent / "ls-file"]
    )
    lock.release()
    assert remove_abandoned() == [held]


def test_leaves_folders_of_other_users_alone(parent, monkeypatch):
    folder, lock = make_temp_folder()
    lock.release()
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    assert remove_abandoned() == []
    assert folder.is_dir()
