import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from cluster.errors import StackError
from cluster.launcher.ready_file import Ready, ReadyFile

READY = Ready(url="https://127.0.0.1:1", key="k", ca=Path("/ca"), dashboard=None, pid=os.getpid())


def refusal(path: Path) -> str:
    with pytest.raises(StackError) as raised:
        ReadyFile(path)
    assert raised.value.exit_status == 2
    return str(raised.value)


def test_file_exists_only_within_block(tmp_path):
    path = tmp_path / "ready.json"
    with ReadyFile(path).published(READY):
        assert json.loads(path.read_text()) == {
            "url": "https://127.0.0.1:1",
            "key": "k",
            "ca": "/ca",
            "dashboard": None,
            "prometheus": None,
            "alertmanager": None,
            "pid": os.getpid(),
        }
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert list(tmp_path.iterdir()) == [path]
    assert list(tmp_path.iterdir()) == []


def test_file_is_removed_on_interrupt(tmp_path):
    with pytest.raises(KeyboardInterrupt), ReadyFile(tmp_path / "r").published(READY):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_relative_path_is_in_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ReadyFile(Path("r")).published(READY):
        assert (tmp_path / "r").is_file()


def test_file_of_killed_start_is_removed_at_once(tmp_path):
    with subprocess.Popen(["true"]) as process:
        pass
    (tmp_path / "r").write_text(READY.model_copy(update={"pid": process.pid}).model_dump_json())
    ReadyFile(tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_file_of_live_start_is_left_alone(tmp_path):
    path = tmp_path / "r"
    with subprocess.Popen(["sleep", "60"]) as process:
        text = READY.model_copy(update={"pid": process.pid}).model_dump_json()
        path.write_text(text)
        later = path.stat().st_mtime + 60  # a start takes a while from its process to its file
        os.utime(path, (later, later))
        assert f"(process {process.pid})" in refusal(path)
        assert path.read_text() == text
        os.utime(path, (0, 0))  # the process began after the file: the pid is used again
        ReadyFile(path)
        process.kill()
    assert not path.exists()


@pytest.mark.parametrize("content", ["", "{}", '{"pid": 1}', "a model"])
def test_other_files_are_refused_and_left_alone(tmp_path, content):
    (tmp_path / "r").write_text(content)
    assert refusal(tmp_path / "r").startswith(f"{tmp_path}/r: it is no ready file")
    assert (tmp_path / "r").read_text() == content


def test_link_pipe_and_folder_are_refused(tmp_path):
    (tmp_path / "target").write_text(READY.model_dump_json())
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "dangling", "pipe", "."):
        assert "it is no ready file" in refusal(tmp_path / name)


def test_missing_folder_is_made_private(tmp_path):
    with ReadyFile(tmp_path / "data" / "r").published(READY):
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_folder_that_cannot_be_made_is_misuse(tmp_path):
    (tmp_path / "file").touch()
    assert refusal(tmp_path / "file" / "r") == f"{tmp_path}/file: File exists"
    assert refusal(tmp_path / "file" / "a" / "r") == f"{tmp_path}/file/a: Not a directory"


def test_folder_that_cannot_be_written_is_misuse(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "nothing can be written into its folder" in refusal(tmp_path / "r")


def test_file_written_meanwhile_by_another_start_stays(tmp_path):
    other = READY.model_copy(update={"pid": 1}).model_dump_json()
    with ReadyFile(tmp_path / "r").published(READY):
        (tmp_path / "r").write_text(other)
    assert (tmp_path / "r").read_text() == other
