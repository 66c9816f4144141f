import os

import pytest

from cluster.errors import StackError
from cluster.launcher.folder_lock import FolderLock
from cluster.launcher.gateway_commands import GatewayCommands
from cluster.launcher.workspace import open_workspace
from gateway.environment import Environment
from tests.unit.cluster.launcher.workspaces import workspace_in


def test_database_lies_in_folder_of_any_name(tmp_path):
    data = tmp_path / "a#b ?c%41"
    with workspace_in(data) as workspace:
        GatewayCommands(workspace, print).migrate()
    assert (data / "lesionserve.sqlite3").is_file()


def test_error_names_failed_command_and_reason(tmp_path):
    with (
        workspace_in(tmp_path) as workspace,
        pytest.raises(StackError, match=r"the gateway's list_keys failed: .*no such table"),
    ):
        GatewayCommands(workspace, print).run("list_keys")


def key_states(commands: GatewayCommands) -> list[str]:
    return [line.split("\t")[1] for line in commands.run("list_keys").splitlines()[1:]]


def test_issued_keys_are_revoked(tmp_path):
    with workspace_in(tmp_path) as workspace:
        commands = GatewayCommands(workspace, print)
        commands.revoke_issued_keys()  # none was issued
        with commands.in_one_process():
            commands.migrate()
            commands.issue_probe_key()
            commands.issue_key("local")
        commands.revoke_issued_keys()
        assert key_states(commands) == ["revoked", "revoked"]


@pytest.mark.parametrize("tls", [False, True])
def test_gateway_accepts_settings_of_probe(tmp_path, tls):
    with open_workspace(tmp_path, tls=tls, say=print) as workspace:
        commands = GatewayCommands(workspace, print)
        with commands.in_one_process():
            commands.migrate()
            key = commands.issue_probe_key()
            assert "\tprobe\tmonitoring\tprobe" in commands.run("list_keys")
        url = f"{workspace.scheme}://127.0.0.1:8080"
        variables = workspace.gateway_environment(url) | workspace.probe_settings(key, 8080)
        probe = Environment.read(variables).probe
        assert (probe.url, probe.key, probe.ca) == (url, key, workspace.ca)


def test_keys_of_killed_start_are_revoked_by_next_start(tmp_path):
    with workspace_in(tmp_path) as workspace:
        commands = GatewayCommands(workspace, print)
        with commands.in_one_process():
            commands.migrate()
            commands.issue_probe_key()
            commands.issue_key("local")
        note = (tmp_path / "lesionserve.lock").read_text().splitlines()[1]
        workspace.logs.rename(tmp_path / "logs" / "earlier")  # both starts may be in one second
    lock = FolderLock.take(tmp_path)
    lock.write_note(note)
    os.close(lock.descriptor)  # as the system does it when a process is killed
    with workspace_in(tmp_path) as workspace:
        commands = GatewayCommands(workspace, print)
        with commands.in_one_process():
            commands.revoke_former_keys()
            assert key_states(commands) == ["revoked", "revoked"]


def test_commands_share_process_until_one_fails(tmp_path):
    with workspace_in(tmp_path) as workspace:
        commands = GatewayCommands(workspace, print)
        with commands.in_one_process():
            first = commands._process
            commands.migrate()
            assert key_states(commands) == []
            assert commands._process is first
            with pytest.raises(StackError, match=r"the gateway's revoke_key failed: .*no key has"):
                commands.run("revoke_key", "--", "unknown")
            commands.issue_key("local")
        assert key_states(commands) == ["active"]


def test_process_without_command_leaves_no_database(tmp_path):
    with workspace_in(tmp_path) as workspace, GatewayCommands(workspace, print).in_one_process():
        pass
    assert not (tmp_path / "lesionserve.sqlite3").exists()
