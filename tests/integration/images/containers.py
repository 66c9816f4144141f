"""Containers as Compose and Kubernetes run them: without rights, on a read-only file system."""

from tests.integration.images.engine import BOUNDS, podman

RESTRICTED = (
    *("--rm", "--read-only", "--read-only-tmpfs=false", "--tmpfs", "/tmp:mode=1777,size=2g"),
    *("--cap-drop", "all", "--security-opt", "no-new-privileges", "--no-healthcheck"),
    *BOUNDS,
)
ANY_USER = ("--user", "12345:23456")


def run_in(image: str, *command: str, options: tuple[str, ...] = ()) -> str:
    """Run a command in a restricted container without a network; return its output."""
    return podman("run", *RESTRICTED, "--network", "none", *options, image, *command)
