"""What the children tell in their logs."""

from pathlib import Path

# The driver's words: the ingress's URL-to-be once it has read the profile and the bundle, that Ray
# runs, that predictions are answered, and its last before it takes Ray down in order.
_ACCEPTED, _RAY, _READY, _STOPPING = "ACCEPTED ", "RAY", "READY", "STOPPING"
_TAIL_LINES = 15


def ingress_url(log: Path) -> str:
    """Empty until the driver has found nothing wrong with the profile and the bundle."""
    urls = [line for line in _lines(log) if line.startswith(_ACCEPTED)]
    return urls[-1].removeprefix(_ACCEPTED) if urls else ""


def has_ray(log: Path) -> bool:
    return _RAY in _lines(log)


def is_serving(log: Path) -> bool:
    return _READY in _lines(log)


def is_stopping(log: Path) -> bool:
    return _STOPPING in _text(log)


def tail(log: Path) -> str:
    return "\n".join(_lines(log)[-_TAIL_LINES:])


def reason(log: str) -> str:
    """The line in which a process says why it ends; without one, its last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (told or lines or ["no reason was given"])[-1]


def _lines(log: Path) -> list[str]:
    return _text(log).splitlines()


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")
