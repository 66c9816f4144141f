"""The model that `lesionserve predict` asks: one in this process, or a gateway's."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from cluster.cli import console
from cluster.cli.http_client import open_client, url_fault
from cluster.cli.local_model import LocalModel, Predict, open_local
from cluster.cli.remote_gateway import (
    KEY_VARIABLE,
    REMOTE_TIMEOUT_S,
    RemoteGateway,
    ask,
    trust,
)
from pipeline.image.limits import DEFAULT_LIMITS

# The most bytes that are read of a file. A gateway has its own limit and reports it.
MAX_LOCAL_BYTES = DEFAULT_LIMITS.max_bytes
MAX_REMOTE_BYTES = 8 * MAX_LOCAL_BYTES

_KEY_LETTERS = re.compile("[!-~]+")  # ASCII without spaces and control characters


def check_choice(local: LocalModel, remote: RemoteGateway) -> None:
    """Raise typer.BadParameter (exit code 2) unless exactly one model is named."""
    named_parts = [part is not None for part in local.checkpoint]
    if any(named_parts) and not all(named_parts):
        raise typer.BadParameter(
            "--config, --weights and --classes (or --class, --classes-file) belong together"
        )
    if any(named_parts) and local.bundle is not None:
        raise typer.BadParameter("give either --bundle or --config, --weights and --classes")
    if remote.url is not None and local.is_chosen:
        raise typer.BadParameter("--url asks a gateway; it goes with no local model or engine")
    if remote.url is None and (remote.key or remote.ca):
        raise typer.BadParameter("--key and --ca go with --url")
    if remote.url is not None and not remote.key:
        raise typer.BadParameter(f"--url needs --key, or {KEY_VARIABLE} in the environment")
    if remote.key is not None and not _KEY_LETTERS.fullmatch(remote.key):
        raise typer.BadParameter(
            f"--key or {KEY_VARIABLE} holds no key: it has a character that no key has, such as a "
            "space or a line end"
        )
    if remote.url is not None and (fault := url_fault(remote.url)) is not None:
        raise typer.BadParameter(f"--url {remote.url} is no gateway's address: {fault}")


@contextmanager
def open_source(local: LocalModel, remote: RemoteGateway, demo: Path) -> Iterator[Predict]:
    """Yield a function that predicts one image; of the bundle `demo` where no model is named."""
    if remote.url is not None:
        with open_client(remote.url, trust(remote.ca), REMOTE_TIMEOUT_S) as client:
            yield lambda data, options, _: ask(client, remote, data, options)
        return
    with console.status("loading the model"):
        predictor = open_local(local, demo)
    yield predictor
