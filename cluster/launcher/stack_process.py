import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.errors import StackError
from cluster.launcher.process_group import Child
from cluster.launcher.process_log import ProcessLog
from cluster.launcher.process_roles import Role

if TYPE_CHECKING:
    import httpx


class StackProcess:
    """A running child process that the stack needs. If it ends, the stack fails."""

    def __init__(self, role: Role, child: Child, log: ProcessLog) -> None:
        self.role = role
        self.pid = child.pid
        self.log = log
        self._child = child

    @property
    def has_ended(self) -> bool:
        return self._child.poll() is not None

    def start_error(self) -> StackError:
        """Return why it has ended before the stack was ready."""
        assert self._child.returncode is not None, "it has ended"
        return self.log.start_error(self._child.returncode)


def open_client(ca: Path | None) -> "httpx.Client":
    """Return a client of the stack's servers. `ca` is the certificate to trust, if any."""
    import httpx  # here, since the stack is started before it is imported

    trust = ssl.create_default_context(cafile=ca)
    return httpx.Client(timeout=5, trust_env=False, verify=trust)


def answers(client: "httpx.Client", url: str) -> bool:
    """Return whether a server answers there, with the status 200."""
    import httpx

    try:
        return client.get(url).status_code == 200
    except httpx.TransportError:
        return False
