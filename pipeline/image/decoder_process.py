"""One decoder: a process that decodes what its parent sends, and that may be ended at any time.

    python -m pipeline.image.decoder_process CHANNEL MEMORY LIMITS CPU_SECONDS

CHANNEL is its end of a pair of sequenced-packet sockets, MEMORY a descriptor of `SharedMemory`,
LIMITS an `ImageLimits`. A request has a number, which its answer repeats, and the `size` of the
file that lies in the shared memory. An answer is an `ImageInfo`, whose pixels then lie there, or
the `code` and `detail` of an ImageError. All are JSON.
"""

import json
import mmap
import os
import resource
import signal
import socket
import sys
import time
from typing import Any

import numpy as np

from pipeline.errors import BrokenImage, ImageError
from pipeline.image.decode import decode
from pipeline.image.limits import ImageLimits
from pipeline.image.orientation import Pixels

MAX_MESSAGE = 4096  # bytes

# Memory of the process: for a pixel a third more than the costliest format needs
# (benchmarks/RESULTS.md), and the rest. What is shared is not counted.
_BYTES_PER_PIXEL = 16
_BYTES_BESIDE = 256 * 1024 * 1024


class SharedMemory:
    """Room for one file and the pixels of its picture, mapped by both sides.

    It is used again for each image, since fresh pages cost more than the decoding of a small one.
    """

    def __init__(self, descriptor: int, limits: ImageLimits) -> None:
        self._pixels_at = -(-limits.max_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        size = self._pixels_at + 3 * limits.max_pixels
        os.ftruncate(descriptor, size)
        self._memory = mmap.mmap(descriptor, size)

    def write_file(self, data: bytes) -> None:
        self._memory[: len(data)] = data

    def read_file(self, size: int) -> bytes:
        return self._memory[:size]

    def pixels(self, height: int, width: int) -> Pixels:
        """Return a view, (height, width, 3) uint8, of where the pixels lie."""
        pixels = np.frombuffer(
            self._memory, dtype=np.uint8, count=height * width * 3, offset=self._pixels_at
        )
        return pixels.reshape(height, width, 3)

    def blank_pixels(self, height: int, width: int) -> Pixels:
        """Return the same view, without what is left there of another picture."""
        pixels = self.pixels(height, width)
        pixels.fill(0)
        return pixels

    def give_back(self) -> None:
        """Give the pages back to the system; what they held is lost."""
        self._memory.madvise(mmap.MADV_REMOVE)


def serve(
    channel: socket.socket, memory: SharedMemory, limits: ImageLimits, cpu_seconds: int
) -> None:
    """Answer requests until the parent is gone."""
    channel.send(b"{}")  # ready
    while request := channel.recv(MAX_MESSAGE):
        asked = json.loads(request)
        _bound_cpu(cpu_seconds)
        answer = _answer(memory.read_file(asked["size"]), memory, limits)
        channel.send(json.dumps({"number": asked["number"], **answer}).encode())


def _answer(data: bytes, memory: SharedMemory, limits: ImageLimits) -> dict[str, Any]:
    try:
        return decode(data, limits, memory.blank_pixels).info.model_dump()
    except MemoryError:
        error: ImageError = BrokenImage("The image needs more memory than any real image.")
    except ImageError as refusal:
        error = refusal
    return {"code": error.code, "detail": str(error)}


def _bound_memory(limits: ImageLimits) -> None:
    size = _BYTES_PER_PIXEL * limits.max_pixels + 4 * limits.max_bytes + _BYTES_BESIDE
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def _bound_cpu(seconds: int) -> None:
    """Let the kernel end this process, by SIGXCPU, after so much more processor time."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + seconds + 1, hard))


def main() -> None:
    channel, memory, given_limits, cpu_seconds = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end is seen
    limits = ImageLimits(**json.loads(given_limits))
    shared = SharedMemory(int(memory), limits)
    _bound_memory(limits)
    serve(socket.socket(fileno=int(channel)), shared, limits, int(cpu_seconds))


if __name__ == "__main__":
    main()
