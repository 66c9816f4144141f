"""Start the one-machine stack, and stop it."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from cluster.errors import StackError
from cluster.launcher.data_folder import private_files
from cluster.launcher.gateway_commands import GatewayCommands
from cluster.launcher.gateway_process import GatewayProcess
from cluster.launcher.monitoring import (
    Monitoring,
    new_alerts_token,
    require_monitoring_programs,
)
from cluster.launcher.options import StackOptions
from cluster.launcher.ports import StackPorts
from cluster.launcher.process_group import ProcessGroup
from cluster.launcher.public_demo import LOOPBACK, PublicDemo
from cluster.launcher.serve_process import ServeProcess
from cluster.launcher.stack import Stack
from cluster.launcher.stack_process import StackProcess, open_client
from cluster.launcher.stages import Stages
from cluster.launcher.stop_signals import StopSignals
from cluster.launcher.workspace import Workspace, open_workspace
from serve_app.driver_state import DriverState

_START_WITHIN_S = 300.0  # on a cold disk PyTorch and Ray take minutes
_STOP_WITHIN_S = 15.0
_ABANDON_WITHIN_S = 1.0  # no request is in flight
_POLL_S = 0.05

Say = Callable[[str], None]


@contextmanager
def running_stack(
    options: StackOptions,
    say: Say,
    show: Callable[[str], AbstractContextManager[None]] = lambda _stage: nullcontext(),
) -> Iterator[Stack]:
    """Start the whole service on this machine, and stop it at the end of the block.

    However the block ends, no process and no temporary file is left, and the key is revoked. `say`
    takes a line for the user; `show` is entered while a stage of the start is under way. Raise
    StackError where the start fails.
    """
    stages = Stages(say, show)
    if options.monitoring:
        require_monitoring_programs()
    public_demo = PublicDemo.of(options) if options.public_demo else None
    secrets = {} if public_demo is None else public_demo.secrets
    ports = StackPorts.choose(options)
    with (
        StopSignals() as signals,
        open_workspace(options.data, tls=options.tls, say=say, secrets=secrets) as workspace,
    ):
        group = ProcessGroup()
        commands = GatewayCommands(workspace, say)
        patience_s = _ABANDON_WITHIN_S
        try:
            with private_files():
                stack = _start(options, public_demo, ports, workspace, group, commands, stages, say)
            patience_s = _STOP_WITHIN_S
            yield stack
        except StackError:
            patience_s = _ABANDON_WITHIN_S
            raise
        except (KeyboardInterrupt, SystemExit):
            say("stopping")
            raise
        finally:
            signals.only_hurry(group.kill)
            with private_files():
                group.stop(patience_s)
                workspace.keep_serve_logs(say)
                commands.revoke_issued_keys()


def _start(
    options: StackOptions,
    public_demo: PublicDemo | None,
    ports: StackPorts,
    workspace: Workspace,
    group: ProcessGroup,
    commands: GatewayCommands,
    stages: Stages,
    say: Say,
) -> Stack:
    serve = ServeProcess(group, workspace, options, ports)
    # A process for them imports Django meanwhile.
    with commands.in_one_process():
        with stages.stage("checking the profile and the bundle"):
            # Before the database, so that a refused profile or bundle leaves none behind.
            wait_until(lambda: serve.log.ingress_url is not None, [serve], stages)
        if (precision := serve.log.chosen_precision) is not None:
            say(f"the model runs in {precision}, which was chosen when its bundle was packed")
        # Meanwhile Ray starts.
        with stages.stage("preparing the database"):
            api_key, settings = _prepare_database(options, public_demo, ports, workspace, commands)
    with stages.stage("starting Ray"):
        wait_until(lambda: serve.log.has_reported(DriverState.RAY_STARTED), [serve], stages)
    # Not before, since Ray's processes keep two cores busy.
    with stages.stage("starting the gateway"):
        assert serve.log.ingress_url is not None
        exposure = LOOPBACK if public_demo is None else public_demo.exposure
        url = serve.log.ingress_url
        gateway = GatewayProcess(group, workspace, ports.gateway, url, settings, exposure)
    processes: list[StackProcess] = [serve, gateway]
    monitoring = None
    if options.monitoring:
        token = settings["LESIONSERVE_ALERTS_TOKEN"]
        monitoring = Monitoring(group, workspace, ports, gateway.url, token)
        # Without them the service works, but they were asked for, so the start fails with them.
        processes += monitoring.processes
    with open_client(workspace.ca) as client:
        with stages.stage("loading the model, which has to reproduce its golden cases"):
            wait_until(lambda: serve.log.has_reported(DriverState.READY), processes, stages)
        with stages.stage("waiting for the gateway"):
            wait_until(lambda: gateway.is_ready(client), processes, stages)
            if monitoring is not None:
                wait_until(lambda: monitoring.is_ready(client), processes, stages)
    elapsed_s = stages.elapsed_s
    return Stack(serve, gateway, group, api_key, workspace.ca, elapsed_s, say, monitoring)


def _prepare_database(
    options: StackOptions,
    public_demo: PublicDemo | None,
    ports: StackPorts,
    workspace: Workspace,
    commands: GatewayCommands,
) -> tuple[str, dict[str, str]]:
    """Return the key of this start, and the gateway's variables."""
    commands.migrate()
    commands.revoke_former_keys()
    if public_demo is not None:
        api_key = commands.issue_demo_key()
        return api_key, public_demo.gateway_variables(api_key)
    return commands.issue_key(options.key_name), _settings(options, ports, workspace, commands)


def _settings(
    options: StackOptions, ports: StackPorts, workspace: Workspace, commands: GatewayCommands
) -> dict[str, str]:
    """Return the gateway's settings of this start alone."""
    if not options.monitoring:
        return {}
    probe = workspace.probe_settings(commands.issue_probe_key(), ports.gateway)
    return probe | {
        "LESIONSERVE_ALERTS_TOKEN": new_alerts_token(),
        "LESIONSERVE_PROMETHEUS_URL": f"http://127.0.0.1:{ports.prometheus}",
    }


def wait_until(
    condition: Callable[[], bool], processes: Sequence[StackProcess], stages: Stages
) -> None:
    """Return once the condition holds. Raise StackError if a process ends first, or at the timeout.

    The error of a timeout shows the log of the last process in `processes`.
    """
    deadline = time.monotonic() + _START_WITHIN_S
    while not condition():
        for process in processes:
            if process.has_ended:
                raise process.start_error()
        if time.monotonic() > deadline:
            raise StackError(f"not ready within {_START_WITHIN_S:.0f} s", processes[-1].log.tail)
        stages.tick()
        time.sleep(_POLL_S)
