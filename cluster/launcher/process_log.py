from dataclasses import dataclass
from pathlib import Path

from cluster.errors import StackError
from cluster.launcher.process_roles import Role

_TAIL_LINES = 15


@dataclass(frozen=True)
class ProcessLog:
    """The output file of one child process. is_kept: whether it stays after `up` has ended."""

    path: Path
    is_kept: bool

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8", errors="replace")

    @property
    def tail(self) -> str:
        return "\n".join(self.text.splitlines()[-_TAIL_LINES:])

    @property
    def failure_reason(self) -> str:
        """Return why the child failed: its last line."""
        return last_line(self.text)

    def start_error(self, exit_status: int) -> StackError:
        """Return why the child did not start."""
        return StackError(self.failure_reason, self.tail, 2 if exit_status == 2 else 1)

    def exit_error(self, role: Role) -> StackError:
        """Return that a process of this role, which writes here, has ended."""
        place = f"; its output is in {self.path}" if self.is_kept else ""
        return StackError(role.exit_message + place, self.tail)


def last_line(output: str) -> str:
    """Return the last line that is not blank."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason was given"
