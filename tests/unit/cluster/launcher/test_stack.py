import os
import subprocess
from pathlib import Path

import pytest

from cluster.errors import StackError
from cluster.launcher.process_roles import DRIVER, GATEWAY
from cluster.launcher.stack import LocalStack, StackOptions


def refusal(options: StackOptions) -> StackError:
    said: list[str] = []
    with pytest.raises(StackError) as raised:
        LocalStack(options, said.append).__enter__()
    assert said == [], "it is told before anything is started"
    return raised.value


def test_a_port_out_of_range_is_misuse() -> None:
    error = refusal(StackOptions(gateway_port=70_000))
    assert (str(error), error.exit_status) == ("port 70000: there is no such port", 2)


def test_a_folder_that_cannot_be_made_is_misuse(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    error = refusal(StackOptions(data=tmp_path / "file" / "data"))
    assert str(error) == f"{tmp_path}/file/data: Not a directory"
    assert error.exit_status == 2


@pytest.mark.parametrize("role", [DRIVER, GATEWAY])
def test_the_end_of_its_own_child_is_noticed_whatever_its_command_line(
    tmp_path: Path, role
) -> None:
    stack = LocalStack(StackOptions(data=tmp_path), print)
    stack._make_folders()
    stack._serve_log.write_text("")
    stack._gateway_log.write_text("")
    with subprocess.Popen(["sleep", "60"]) as child:
        stack._own.append((child, role))
        stack.check()
        child.kill()
        child.wait()
        with pytest.raises(StackError) as raised:
            stack.check()
    assert str(raised.value).startswith(role.exit_message)
    assert str(tmp_path) in str(raised.value)


def test_no_start_writes_into_the_logs_of_another(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    stack = LocalStack(StackOptions(data=tmp_path), print)
    stack._make_folders()
    assert stack._serve_log.parent.parent == tmp_path / "logs"
    assert list(stack._serve_log.parent.iterdir()) == []


def test_the_database_lies_in_the_folder_whatever_its_name(tmp_path: Path) -> None:
    stack = LocalStack(StackOptions(data=tmp_path / "a#b ?c%41"), print)
    stack._make_folders()
    stack._temp = tmp_path
    stack._manage("migrate", "--verbosity", "0")
    assert (tmp_path / "a#b ?c%41" / "lesionserve.sqlite3").is_file()


def test_a_driver_that_dies_while_the_gateway_starts_is_noticed(tmp_path: Path) -> None:
    stack = LocalStack(StackOptions(data=tmp_path), print)
    stack._make_folders()
    stack._serve_log.write_text("ACCEPTED http://127.0.0.1:1\nREADY\n")
    assert stack._is_accepted()
    assert stack._is_serving()
    with subprocess.Popen(["true"]) as driver, subprocess.Popen(["sleep", "60"]) as gateway:
        stack._own += [(driver, DRIVER), (gateway, GATEWAY)]
        driver.wait()
        with pytest.raises(StackError, match=DRIVER.exit_message):
            stack._until(lambda: False)
        gateway.kill()


def test_the_key_of_a_killed_start_is_revoked_by_the_next(tmp_path: Path) -> None:
    def prepared() -> LocalStack:
        stack = LocalStack(StackOptions(data=tmp_path), print)
        stack._make_folders()
        stack._temp = tmp_path
        return stack

    killed = prepared()
    killed._manage("migrate", "--verbosity", "0")
    killed._issue_key()
    os.close(killed._locks[0].descriptor)  # as the system does it
    restarted = prepared()
    restarted._revoke_left_key()
    listed = restarted._manage("list_keys").splitlines()
    assert [line.split("\t")[1] for line in listed[1:]] == ["revoked"]
