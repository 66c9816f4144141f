"""What is no image file, as the command meets it."""

import os
from pathlib import Path

import pytest

from pipeline.text import printable
from tests.integration.cli.command_process import (
    assert_one_line,
    run,
)


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.symlink_to(path)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(5 * 10**9)


def unnamed(path: Path) -> None:
    """Nothing is there."""


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (folder, "it is a folder"),
        (pipe, "it is a pipe or a device"),
        (device, "it is a pipe or a device"),
        (loop, "Too many levels of symbolic links"),
        (huge, "it is larger than 256 MiB"),
        (unnamed, "No such file or directory"),
    ],
)
@pytest.mark.parametrize("name", ["a.jpg", "-a.jpg", "\x1b[2J\n.jpg", "äöü.jpg"])
def test_file_that_is_no_image_does_not_stop_others(
    url: str, image: Path, make, text: str, name: str
) -> None:
    make(image.parent / name)
    done = run("predict", "--url", url, "--format", "json", "--", name, image, cwd=image.parent)
    assert_one_line(done, 1, f"lesionserve: {printable(name)}: {text}")
    assert len(done.stdout.splitlines()) == 1
