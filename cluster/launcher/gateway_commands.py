import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from cluster.errors import StackError
from cluster.launcher.process_log import ProcessLog
from cluster.launcher.workspace import Workspace
from gateway.access.token import Token

_KEY_DAYS = 30  # bounds the key of a start that was killed, where no other start revokes it

_PROBE_ORGANISATION = "monitoring"


class CommandProcess:
    """A process that runs the gateway's commands, so that Django is imported once for all of them.

    It imports Django at once, and touches the database with its first command.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._was_asked = False
        self._log = ProcessLog(workspace.temp / "commands.log", is_kept=False)
        with self._log.path.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway.manage", "run_commands"],
                # The settings require an upstream; no command connects to it.
                env=workspace.gateway_environment(f"{workspace.scheme}://127.0.0.1"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,  # Ctrl-C reaches the launcher alone, which lets it finish
            )

    def run(self, *arguments: str) -> str:
        """Run one command and return what it prints.

        Raise StackError where it fails, which ends the process.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._was_asked = True
        with suppress(BrokenPipeError):  # it has ended already, and says why below
            print(json.dumps(arguments), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            self._process.wait()
            reason = self._log.failure_reason
            raise StackError(f"the gateway's {arguments[0]} failed: {reason}")
        output: str = json.loads(answer)
        return output.strip()

    def end(self) -> None:
        """End it, once a command that runs has finished."""
        if not self._was_asked:
            self._process.kill()
        self._process.communicate()


class GatewayCommands:
    """The gateway's own commands on the database of a workspace, and the keys of this start."""

    def __init__(self, workspace: Workspace, say: Callable[[str], None]) -> None:
        self._workspace = workspace
        self._say = say
        self._issued_ids: list[str] = []
        self._process: CommandProcess | None = None

    @contextmanager
    def in_one_process(self) -> Iterator[None]:
        """Start a process for the commands of the block, which is ready by the first one."""
        self._process = CommandProcess(self._workspace)
        try:
            yield
        finally:
            self._end_process()

    def run(self, *arguments: str) -> str:
        """Run one command and return what it prints. Raise StackError where it fails."""
        if self._process is None:
            with self.in_one_process():
                return self.run(*arguments)
        try:
            return self._process.run(*arguments)
        except StackError:
            self._end_process()  # the next command has another one
            raise

    def _end_process(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None

    def migrate(self) -> None:
        self.run("migrate", "--verbosity", "0")

    def issue_key(self, name: str) -> str:
        """Return a new API key; its id is noted for the next start in the same folder."""
        return self._issue("--name", name)

    def issue_demo_key(self) -> str:
        """Return the key of a public demo, which lasts as long as its database."""
        return self.run("issue_key", "--name", "public demo")

    def issue_probe_key(self) -> str:
        """Return a new API key for the gateway's own probe, noted as the other one is.

        Its organisation is of its own, so that probes take nothing of a clinic's limits.
        """
        return self._issue(
            *("--name", "probe", "--scope", "probe", "--organisation", _PROBE_ORGANISATION)
        )

    def revoke_former_keys(self) -> None:
        """Revoke the keys of a start in this folder that was killed and could not do it."""
        lock = self._workspace.data_lock
        if lock is not None:
            for key_id in lock.former_note.split():
                self._revoke(key_id)

    def revoke_issued_keys(self) -> None:
        """Revoke the keys of this start, where the database is kept."""
        if self._issued_ids:
            with self.in_one_process():
                for key_id in self._issued_ids:
                    self._revoke(key_id)

    def _issue(self, *arguments: str) -> str:
        key = self.run("issue_key", *arguments, "--expires-in", str(_KEY_DAYS))
        token = Token.parse(key)
        assert token is not None, "the command prints the key alone"
        if self._workspace.data_lock is not None:
            self._issued_ids.append(token.id)
            self._workspace.data_lock.write_note(" ".join(self._issued_ids))
        return key

    def _revoke(self, key_id: str) -> None:
        try:
            self.run("revoke_key", "--", key_id)
        except StackError as error:
            self._say(f"the key {key_id} is valid for up to {_KEY_DAYS} days more: {error}")
