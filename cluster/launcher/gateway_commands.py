import subprocess
import sys
from collections.abc import Callable

from cluster.errors import StackError
from cluster.launcher.process_log import last_line
from cluster.launcher.workspace import Workspace
from gateway.access.token import Token

_KEY_DAYS = 30  # bounds the key of a start that was killed, where no other start revokes it

_PROBE_ORGANISATION = "monitoring"


class GatewayCommands:
    """The gateway's own commands on the database of a workspace, and the keys of this start."""

    def __init__(self, workspace: Workspace, say: Callable[[str], None]) -> None:
        self._workspace = workspace
        self._say = say
        self._issued_ids: list[str] = []

    def run(self, *arguments: str) -> str:
        """Run one command and return what it prints. Raise StackError where it fails."""
        process = subprocess.run(
            [sys.executable, "-m", "gateway.manage", *arguments],
            # The settings require an upstream; no command connects to it.
            env=self._workspace.gateway_environment(f"{self._workspace.scheme}://127.0.0.1"),
            capture_output=True,
            text=True,
            start_new_session=True,  # Ctrl-C reaches the launcher alone, which lets it finish
        )
        if process.returncode != 0:
            reason = last_line(process.stderr)
            raise StackError(f"the gateway's {arguments[0]} failed: {reason}")
        return process.stdout.strip()

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
