import stat
from pathlib import Path

import pytest

from cluster.errors import StackError
from cluster.launcher.workspace import open_workspace
from tests.unit.cluster.launcher.workspaces import workspace_in


def test_unusable_data_folder_is_misuse_and_leaves_nothing(tmp_path, monkeypatch):
    temp = tmp_path / "t"
    temp.mkdir()
    monkeypatch.setattr("cluster.launcher.temp_folder._parent", lambda: str(temp))
    (tmp_path / "file").touch()
    data = tmp_path / "file" / "data"
    with pytest.raises(StackError) as raised, workspace_in(data):
        pass
    assert str(raised.value) == f"{data}: Not a directory"
    assert raised.value.exit_status == 2
    assert list(temp.iterdir()) == []


def test_start_has_private_folder_of_logs(tmp_path):
    with workspace_in(tmp_path) as workspace:
        assert workspace.serve_log.path.parent.parent == tmp_path / "logs"
        assert list(workspace.logs.iterdir()) == []
        assert workspace.serve_log.is_kept
        assert stat.S_IMODE(workspace.logs.stat().st_mode) == 0o700


def test_workspace_without_data_folder_is_temporary():
    with open_workspace(None, tls=True, say=print) as workspace:
        assert workspace.data == workspace.logs == workspace.temp.resolve()
        assert workspace.ca == workspace.temp.resolve() / "tls" / "ca.pem"
        assert not workspace.gateway_log.is_kept
        temp = workspace.temp
    assert not temp.exists()


def test_folder_is_free_and_serve_logs_stay_after_end(tmp_path):
    for _ in range(2):
        with workspace_in(tmp_path) as workspace:
            temp = workspace.temp
            (workspace.ray_folder / "session_latest/logs/serve").mkdir(parents=True)
            (workspace.ray_folder / "session_latest/logs/serve/replica.log").write_text("a line")
            workspace.keep_serve_logs(print)
            replica_log: Path = workspace.logs / "serve/replica.log"
            workspace.logs.rename(tmp_path / "logs" / temp.name)  # both starts are in one second
        assert not temp.exists()
        assert (tmp_path / "logs" / temp.name / replica_log.relative_to(workspace.logs)).is_file()


def test_logs_of_last_twenty_starts_are_kept(tmp_path):
    logs = tmp_path / "logs"
    for number in range(25):
        (logs / f"202601{number + 1:02d}T120000Z-{number}" / "serve").mkdir(parents=True)
    (logs / "20250101T000000Z-notes").mkdir()
    (logs / "20250101T000000Z-1").symlink_to(tmp_path)
    with workspace_in(tmp_path) as workspace:
        names = {path.name for path in logs.iterdir()}
        assert workspace.logs.name in names
    kept = {f"202601{number + 1:02d}T120000Z-{number}" for number in range(6, 25)}
    others = {"20250101T000000Z-notes", "20250101T000000Z-1"}
    assert names == kept | others | {workspace.logs.name}
