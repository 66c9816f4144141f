import os
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import NoReturn, Self

import httpx

from cluster.errors import StackError
from cluster.launcher import driver_log as told
from cluster.launcher.certificates import Authority
from cluster.launcher.data_folder import open_data_folder, private_files
from cluster.launcher.environment import child_environment, gateway_environment
from cluster.launcher.folder_lock import FolderLock
from cluster.launcher.ports import choose_ports
from cluster.launcher.process_group import Child, ProcessGroup
from cluster.launcher.process_roles import DRIVER, GATEWAY, OnExit, Role, fatal_role, role_of
from cluster.launcher.stages import Stages
from cluster.launcher.temp_folder import make_temp_folder, remove_abandoned
from cluster.paths import LOCAL_PROFILE
from gateway.access.token import Token

_START_WITHIN_S = 300.0  # on a cold disk PyTorch and Ray take minutes
_STOP_WITHIN_S = 15.0
_ABANDON_WITHIN_S = 1.0  # where nothing is in flight
_POLL_S = 0.25
_START_POLL_S = 0.05
_KEY_DAYS = 30  # a net for a launcher that is killed and not started again in the same folder
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class StackOptions:
    """What to start. A port that is not given is a free one.

    `data` keeps the database, the gateway's secrets and the logs of every start; without it
    nothing is kept. `tls` makes both hops HTTPS, with certificates of a private authority that is
    kept there, too.
    """

    config: Path = LOCAL_PROFILE
    bundle: Path | None = None
    data: Path | None = None
    gateway_port: int | None = None
    ingress_port: int | None = None
    dashboard_port: int | None = None
    dashboard: bool = False
    tls: bool = False
    key_name: str = "local"
    debug: bool = False


class LocalStack:
    """The whole service on this machine: Ray, the graph, the gateway, and a key to it.

    `with LocalStack(options, say) as stack:` starts it. However the block ends, no process and
    no temporary file is left, and the key is revoked. `say` hears what goes on, one line at a
    time; `show` is entered while a stage of the start is under way.
    """

    def __init__(
        self,
        options: StackOptions,
        say: Callable[[str], None],
        show: Callable[[str], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._options = options
        self._say = say
        self.stages = Stages(say, show)
        self._locks: list[FolderLock] = []
        self._data_lock: FolderLock | None = None
        self._group = ProcessGroup()
        self._authority: Authority | None = None
        self.dashboard_token = secrets.token_hex(32)
        self._patience_s = _ABANDON_WITHIN_S
        self._missed: set[Role] = set()
        self._own: list[tuple[Child, Role]] = []
        self.api_key = ""
        self.ingress_url = ""

    def __enter__(self) -> Self:
        """Raises StackError where the start fails."""
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            # So a script's shell starts what runs in the background; it may still be interrupted.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self._handlers = {
            signal.SIGINT: signal.getsignal(signal.SIGINT),
            signal.SIGTERM: signal.signal(signal.SIGTERM, _exit),
            signal.SIGHUP: signal.signal(signal.SIGHUP, _exit),
        }
        remove_abandoned()
        self._temp, lock = make_temp_folder()
        self._locks.append(lock)
        try:
            with private_files():
                self._start()
        except BaseException as error:
            self._stop(error)
            raise
        self._patience_s = _STOP_WITHIN_S
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop(error)

    def wait(self) -> NoReturn:
        """Watches the processes until an essential one dies. Raises StackError then."""
        while True:
            self.check()
            time.sleep(_POLL_S)

    def check(self) -> None:
        """Says who died since the last look. Raises StackError where it was essential."""
        gone = [(member.pid, role_of(member.title)) for member in self._group.poll_ended()]
        dead = [(pid, role) for pid, role in gone if role is not None]
        # Their own ends need no look at the process table.
        dead += [(one.pid, role) for one, role in self._own if one.poll() is not None]
        if dead and told.is_stopping(self._serve_log):
            self._end(DRIVER)
        if ending := fatal_role([role for _, role in dead]):
            self._end(ending)
        for pid, role in dead:
            if role not in self._missed:
                self._say(f"{role.exit_message} (pid {pid})")
            if role.on_exit is OnExit.CONTINUE:
                self._missed.add(role)

    def _end(self, role: Role) -> NoReturn:
        self._patience_s = _ABANDON_WITHIN_S
        log = self._log_of(role)
        kept = "" if self._options.data is None else f"; its output is in {log}"
        raise StackError(role.exit_message + kept, told.tail(log))

    @property
    def gateway_url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._gateway_port}"

    @property
    def ca(self) -> Path | None:
        """The certificate of the authority that signed the gateway's; None in plain HTTP."""
        return None if self._authority is None else self._authority.path

    @property
    def _scheme(self) -> str:
        return "http" if self._authority is None else "https"

    @property
    def dashboard_url(self) -> str | None:
        """It asks for `dashboard_token`."""
        return None if self._dashboard_port is None else f"http://127.0.0.1:{self._dashboard_port}"

    def _start(self) -> None:
        self._choose_ports()
        self._make_folders()
        self._make_certificates()
        stage = self.stages.stage
        with stage("checking the profile and the bundle"):
            self._own.append((self._start_serve(), DRIVER))
            # So that a profile or a bundle that is refused leaves no database behind.
            self._until(self._is_accepted)
        # While Ray starts, which mostly waits for its own processes.
        with stage("preparing the database"):
            self._manage("migrate", "--verbosity", "0")
            self._revoke_left_key()
        with stage("starting the gateway"):
            self._own.append((self._start_gateway(), GATEWAY))
            self.api_key = self._issue_key()
        with stage("starting Ray"):
            self._until(lambda: told.has_ray(self._serve_log))
        with stage("loading the model, which has to reproduce its golden cases"):
            self._until(self._is_serving)
        with (
            stage("waiting for the gateway"),
            httpx.Client(
                timeout=5, trust_env=False, verify=ssl.create_default_context(cafile=self.ca)
            ) as client,
        ):
            self._until(lambda: self._is_ready(client))
        self._group.poll_ended()

    def _choose_ports(self) -> None:
        options = self._options
        wanted = [options.gateway_port, options.ingress_port, options.dashboard_port, None]
        chosen = choose_ports(wanted)
        self._gateway_port, self._ingress_port, dashboard_port, self._metrics_port = chosen
        self._dashboard_port = dashboard_port if options.dashboard else None

    def _make_folders(self) -> None:
        data = self._options.data
        self._data = (data or self._temp).resolve()
        try:
            if data is not None:
                remarks = open_data_folder(self._data)
                self._data_lock = FolderLock.wait(self._data, _STOP_WITHIN_S)
                self._locks.append(self._data_lock)
                for remark in remarks:
                    self._say(remark)
            logs = self._temp if data is None else _new_folder(self._data / "logs")
        except OSError as error:
            raise StackError(f"{self._data}: {error.strerror}", exit_status=2) from error
        self._serve_log = logs / "serve.log"
        self._gateway_log = logs / "gateway.log"
        self._settings = gateway_environment(self._data)

    def _make_certificates(self) -> None:
        if not self._options.tls:
            return
        folder = self._data / "tls"
        try:
            self._authority = Authority.kept_in(folder)
            self._ingress_pem = self._authority.issue(folder / "ingress.pem", _LOOPBACK)
            self._gateway_pem = self._authority.issue(folder / "gateway.pem", _LOOPBACK)
        except OSError as error:
            raise StackError(f"{folder}: {error}", exit_status=2) from error
        if self._authority.replaces:
            self._say(f"the authority had expired: clients have to trust {self.ca} anew")

    def _start_serve(self) -> Child:
        options = self._options
        command = [sys.executable, "-m", "serve_app", "--config", str(options.config)]
        command += ["--port", str(self._ingress_port), "--temp-dir", str(self._temp / "ray")]
        if options.bundle is not None:
            command += ["--bundle", str(options.bundle)]
        if self._dashboard_port is not None:
            command += ["--dashboard-port", str(self._dashboard_port)]
        if self._authority is not None:
            command += ["--certificate", str(self._ingress_pem)]
        if options.debug:
            command += ["--debug"]
        environment = self._environment(
            LESIONSERVE_SERVICE_TOKENS=self._settings["LESIONSERVE_SERVICE_TOKEN"],
            # Given a token, Ray neither makes one in the home directory nor uses one from there.
            RAY_AUTH_MODE="token",
            RAY_AUTH_TOKEN=self.dashboard_token,
            DASHBOARD_METRIC_PORT=str(self._metrics_port),
        )
        return self._start_child(command, environment, self._serve_log)

    def _start_gateway(self) -> Child:
        command = [sys.executable, "-m", "uvicorn", "gateway.asgi:application"]
        command += ["--host", "127.0.0.1", "--port", str(self._gateway_port)]
        command += ["--no-access-log", "--no-server-header", "--ws", "none", "--lifespan", "on"]
        command += ["--http", "gateway.protocol:GatewayProtocol"]
        command += ["--no-proxy-headers"]  # there is no proxy whose word could be taken
        if self._authority is not None:
            pem = str(self._gateway_pem)
            command += ["--ssl-certfile", pem, "--ssl-keyfile", pem]
        # What is in flight may finish before the graph goes.
        command += ["--timeout-graceful-shutdown", "5"]
        return self._start_child(command, self._gateway_environment(), self._gateway_log)

    def _start_child(self, command: list[str], environment: dict[str, str], log: Path) -> Child:
        keep = [lock.descriptor for lock in self._locks]
        return self._group.start(command, environment, log, keep)

    def _manage(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "gateway.manage", *arguments]
        done = subprocess.run(
            command,
            env=self._gateway_environment(),
            capture_output=True,
            text=True,
            start_new_session=True,  # Ctrl-C is for us: we end it, or let it finish
        )
        if done.returncode != 0:
            raise StackError(f"the gateway's {arguments[0]} failed: {told.reason(done.stderr)}")
        return done.stdout.strip()

    def _gateway_environment(self) -> dict[str, str]:
        changes = {
            "LESIONSERVE_UPSTREAM_URL": self.ingress_url or "http://127.0.0.1",
            "LESIONSERVE_HTTPS_ONLY": str(self._authority is not None),
        }
        if self.ca is not None:
            changes["LESIONSERVE_UPSTREAM_CA"] = str(self.ca)
        return self._environment(**self._settings, **changes)

    def _environment(self, **changes: str) -> dict[str, str]:
        return child_environment(os.environ, self._temp, changes)

    def _issue_key(self) -> str:
        name, days = self._options.key_name, str(_KEY_DAYS)
        key = self._manage("issue_key", "--name", name, "--expires-in", days)
        token = Token.parse(key)
        if self._data_lock is not None and token is not None:
            self._data_lock.write_note(token.id)
        return key

    def _revoke_left_key(self) -> None:
        """Revoke the key of a start in this folder that was killed and could not do it."""
        if self._data_lock is not None and self._data_lock.former_note:
            self._revoke(self._data_lock.former_note)

    def _revoke_key(self) -> None:
        token = Token.parse(self.api_key)
        # Without a folder the database goes, too; and perhaps it was never issued.
        if self._options.data is not None and token is not None:
            self._revoke(token.id)

    def _revoke(self, key_id: str) -> None:
        try:
            self._manage("revoke_key", "--", key_id)
        except StackError as error:
            self._say(f"the key {key_id} is valid for up to {_KEY_DAYS} days more: {error}")

    def _keep_logs_of_serve(self) -> None:
        """Ray writes them below its own folder, which goes."""
        written = self._temp / "ray/session_latest/logs/serve"
        if self._options.data is None or not written.is_dir():
            return
        try:
            shutil.copytree(written, self._serve_log.with_name("serve"))
        except OSError as error:  # such as a full disk; the rest is to be cleared up all the same
            self._say(f"the logs of Ray Serve cannot be kept: {error.strerror or error}")

    def _until(self, happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_WITHIN_S
        while not happened():
            for child, role in self._own:
                if child.poll() is not None:
                    self._give_up(child, role)
            if time.monotonic() > deadline:
                log = self._log_of(self._own[-1][1])
                raise StackError(f"not ready within {_START_WITHIN_S:.0f} s", told.tail(log))
            self.stages.tick()
            time.sleep(_START_POLL_S)

    def _give_up(self, child: Child, role: Role) -> NoReturn:
        """Says why a child did not start: it has told in the last line of its log."""
        if role is DRIVER and self._is_serving():
            self._end(role)  # it had started; what it said last is that
        log = self._log_of(role)
        status = 2 if child.returncode == 2 else 1
        raise StackError(
            told.reason(log.read_text(encoding="utf-8", errors="replace")), told.tail(log), status
        )

    def _log_of(self, role: Role) -> Path:
        return self._gateway_log if role is GATEWAY else self._serve_log

    def _is_accepted(self) -> bool:
        self.ingress_url = told.ingress_url(self._serve_log)
        return bool(self.ingress_url)

    def _is_serving(self) -> bool:
        return told.is_serving(self._serve_log)

    def _is_ready(self, client: httpx.Client) -> bool:
        try:
            return client.get(f"{self.gateway_url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def _stop(self, error: BaseException | None) -> None:
        """Ends everything, the gateway first; Ctrl-C only makes it hurry."""
        for signum in self._handlers:
            signal.signal(signum, signal.SIG_IGN)
        signal.signal(signal.SIGINT, lambda *_: self._group.kill())
        if isinstance(error, KeyboardInterrupt | SystemExit):
            self._say("stopping")
        with private_files():
            self._group.stop(self._patience_s)
            self._keep_logs_of_serve()
            self._revoke_key()
        shutil.rmtree(self._temp, ignore_errors=True)
        while self._locks:
            self._locks.pop().release()
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)


def _exit(signum: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + signum)


def _new_folder(parent: Path) -> Path:
    """A folder named by the time; no start writes into another one's."""
    folder = parent / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"
    folder.mkdir(parents=True, mode=0o700)
    return folder
