from cluster.errors import StackError
from cluster.launcher.process_group import Child
from cluster.launcher.process_log import ProcessLog
from cluster.launcher.process_roles import Role


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
