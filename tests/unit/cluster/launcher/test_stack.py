from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from cluster.errors import StackError
from cluster.launcher.gateway_process import GatewayProcess
from cluster.launcher.options import StackOptions
from cluster.launcher.ports import StackPorts
from cluster.launcher.process_group import Child, ProcessGroup
from cluster.launcher.process_roles import DRIVER, GATEWAY
from cluster.launcher.serve_process import ServeProcess
from cluster.launcher.stack import Stack
from cluster.launcher.stages import Stages
from cluster.launcher.startup import running_stack, wait_until
from cluster.launcher.workspace import Workspace
from serve_app.driver_state import DriverReport, DriverState
from tests.unit.cluster.launcher.workspaces import workspace_in

PORTS = StackPorts(gateway=1, ingress=2, dashboard=3, metrics=4, ray_metrics=5)


class SleepingGroup(ProcessGroup):
    """Starts a process that only sleeps in place of every command, which it records."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[list[str]] = []
        self.children: list[Child] = []

    def start(self, command, environment, log, descriptors=()) -> Child:
        self.commands.append(list(command))
        self.children.append(super().start(["sleep", "60"], environment, log, descriptors))
        return self.children[-1]


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with workspace_in(tmp_path) as workspace:
        yield workspace


@pytest.fixture
def group() -> Iterator[SleepingGroup]:
    group = SleepingGroup()
    yield group
    for child in group.children:
        kill(child)


@pytest.fixture
def processes(group, workspace) -> tuple[ServeProcess, GatewayProcess]:
    serve = ServeProcess(group, workspace, StackOptions(), PORTS)
    return serve, GatewayProcess(group, workspace, PORTS.gateway, "http://127.0.0.1:2")


def report(serve: ServeProcess, state: DriverState, error: str | None = None) -> None:
    with serve.log.path.open("a") as file:
        file.write(DriverReport(state=state, error=error).model_dump_json() + "\n")


def kill(child: Child) -> None:
    child.kill()
    child.wait()


def refusal(options: StackOptions) -> StackError:
    said: list[str] = []
    with pytest.raises(StackError) as raised, running_stack(options, said.append):
        pass
    assert said == [], "it is told before anything is started"
    return raised.value


def test_port_out_of_range_is_misuse():
    error = refusal(StackOptions(gateway_port=70_000))
    assert (str(error), error.exit_status) == ("port 70000: there is no such port", 2)


def test_data_folder_that_cannot_be_made_is_misuse(tmp_path):
    (tmp_path / "file").touch()
    error = refusal(StackOptions(data=tmp_path / "file" / "data"))
    assert str(error) == f"{tmp_path}/file/data: Not a directory"
    assert error.exit_status == 2


def test_addresses_are_on_loopback_interface(processes, group):
    serve, gateway = processes
    assert gateway.url == "http://127.0.0.1:1"
    assert serve.dashboard_url == "http://127.0.0.1:3"
    assert serve.metrics_url == "http://127.0.0.1:5/metrics"
    driver = group.commands[0]
    assert driver[driver.index("--metrics-port") + 1] == "5"
    assert [command[2] for command in group.commands] == ["serve_app", "uvicorn"]


@pytest.mark.parametrize(("number", "role"), [(0, DRIVER), (1, GATEWAY)])
def test_end_of_child_is_noticed_whatever_its_title(processes, group, tmp_path, number, role):
    stack = Stack(*processes, group, api_key="", ca=None, start_s=0, say=print)
    stack.check()
    kill(group.children[number])
    with pytest.raises(StackError) as raised:
        stack.check()
    assert str(raised.value).startswith(role.exit_message)
    assert str(tmp_path) in str(raised.value)


def test_error_names_stopping_driver_when_gateway_ends(processes, group):
    stack = Stack(*processes, group, api_key="", ca=None, start_s=0, say=print)
    report(processes[0], DriverState.STOPPING)
    kill(group.children[1])
    with pytest.raises(StackError, match=DRIVER.exit_message):
        stack.check()


def test_child_that_ends_during_start_gives_its_reason(processes, group):
    serve, _ = processes
    report(serve, DriverState.FAILED, "no bundle")
    with serve.log.path.open("a") as file:
        file.write("Ray's last words\n")
    kill(group.children[0])
    with pytest.raises(StackError, match=r"^no bundle$"):
        wait_until(lambda: False, processes, Stages(print, nullcontext))


def test_error_names_driver_that_ends_after_its_start(processes, group):
    serve, _ = processes
    report(serve, DriverState.READY)
    kill(group.children[0])
    with pytest.raises(StackError, match=DRIVER.exit_message):
        wait_until(lambda: False, processes, Stages(print, nullcontext))
