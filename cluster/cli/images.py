"""Read image files from the command line, within bounds."""

import os
import stat
from pathlib import Path

from pipeline.errors import ImageTooLarge, UnsupportedImage


def read_image(path: Path, max_bytes: int) -> bytes:
    """Return the bytes of a regular file.

    Raise OSError for a file that cannot be read, UnsupportedImage for what is no file (a folder,
    a pipe, a device: it might never end, or never begin), and ImageTooLarge for more than
    `max_bytes`, of which no more is read.
    """
    # Without O_NONBLOCK, opening a pipe waits for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise UnsupportedImage("it is a folder; name the image files in it")
        if not stat.S_ISREG(status.st_mode):
            raise UnsupportedImage("it is a pipe or a device; name an image file")
        if status.st_size <= max_bytes:
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(max_bytes + 1)
            if len(data) <= max_bytes:
                return data
    finally:
        os.close(descriptor)
    raise ImageTooLarge(f"it is larger than {max_bytes / 2**20:.0f} MiB")
