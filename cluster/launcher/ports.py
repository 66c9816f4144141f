import random
import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from cluster.errors import StackError

# Not where systems take the ports of connections from, and of servers that name none, as Ray's
# processes in the seconds before ours listen: a port that had been free was once gone by then. Nor
# where the workers of a cluster's Ray listen, from 10002 to 19999.
_QUIET = range(20000, 32768)


def choose_ports(wanted: Sequence[int | None]) -> list[int]:
    """The wanted ports, and free ones where none is wanted. Raises StackError for one in
    use or out of range."""
    with ExitStack() as sockets:
        chosen = []
        for port in wanted:
            probe = sockets.enter_context(socket.socket())
            # As the servers do: a port whose last connections linger is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                if port is None:
                    _bind_anywhere(probe)
                else:
                    probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise StackError(f"port {port}: {error.strerror}", exit_status=2) from error
            except OverflowError as error:
                raise StackError(f"port {port}: there is no such port", exit_status=2) from error
            chosen.append(probe.getsockname()[1])
        return chosen


def _bind_anywhere(probe: socket.socket) -> None:
    for port in random.sample(_QUIET, len(_QUIET)):  # nosec B311, no secret
        with suppress(OSError):
            return probe.bind(("127.0.0.1", port))
    raise StackError(f"no port of {_QUIET.start} to {_QUIET.stop} is free")
