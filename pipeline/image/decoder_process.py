"""A decoder process: it decodes the files that its parent sends, and may be ended at any time.

    python -m pipeline.image.decoder_process CHANNEL MEMORY LIMITS CPU_SECONDS

CHANNEL is the descriptor of this process's end of a pair of sequenced-packet sockets, MEMORY the
descriptor of the `SharedMemory`, and LIMITS an `ImageLimits` in JSON. Messages are JSON. A request
has a `number`, which its answer repeats, and the `size` in bytes of the file in the shared memory.
An answer holds the fields of an `ImageInfo`, and then the pixels lie in the shared memory; or it
holds the `code` and `detail` of an ImageError.
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

# The private memory of the process is limited to a share for each pixel, a third more than the
# costliest format needs (benchmarks/RESULTS.md), and a share for everything else.
_BYTES_PER_PIXEL = 16
_BYTES_BESIDE = 256 * 1024 * 1024


class SharedMemory:
    """Memory for one file and its decoded pixels, mapped by the parent and by the decoder.

    It is reused for each image, since new pages cost more time than decoding a small image.
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
        """Return a view of the pixels, (height, width, 3) uint8."""
        pixels = np.frombuffer(
            self._memory, dtype=np.uint8, count=height * width * 3, offset=self._pixels_at
        )
        return pixels.reshape(height, width, 3)

    def blank_pixels(self, height: int, width: int) -> Pixels:
        """Return the view of `pixels`, filled with zeros so that no earlier picture shows."""
        pixels = self.pixels(height, width)
        pixels.fill(0)
        return pixels

    def give_back(self) -> None:
        """Return the pages to the system and lose their content."""
        self._memory.madvise(mmap.MADV_REMOVE)


def serve(
    channel: socket.socket, memory: SharedMemory, limits: ImageLimits, cpu_seconds: int
) -> None:
    """Answer requests until the parent closes the channel."""
    channel.send(b"{}")  # ready
    while request := channel.recv(MAX_MESSAGE):
        fields = json.loads(request)
        _limit_cpu(cpu_seconds)
        answer = _answer(memory.read_file(fields["size"]), memory, limits)
        channel.send(json.dumps({"number": fields["number"], **answer}).encode())


def _answer(data: bytes, memory: SharedMemory, limits: ImageLimits) -> dict[str, Any]:
    try:
        return decode(data, limits, memory.blank_pixels).info.model_dump()
    except MemoryError:
        error: ImageError = BrokenImage(
            "Decoding the image needs more memory than any real image does. Export it again as "
            "JPEG or PNG."
        )
    except ImageError as refusal:
        error = refusal
    return {"code": error.code, "detail": str(error)}


def _limit_memory(limits: ImageLimits) -> None:
    size = _BYTES_PER_PIXEL * limits.max_pixels + 4 * limits.max_bytes + _BYTES_BESIDE
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def _limit_cpu(seconds: int) -> None:
    """Have the kernel end this process with SIGXCPU after `seconds` more of processor time."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + seconds + 1, hard))


def main() -> None:
    channel, memory, limits_json, cpu_seconds = sys.argv[1:]
    # Ctrl-C ends the parent, and the closed channel then ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limits = ImageLimits(**json.loads(limits_json))
    shared = SharedMemory(int(memory), limits)
    _limit_memory(limits)
    serve(socket.socket(fileno=int(channel)), shared, limits, int(cpu_seconds))


if __name__ == "__main__":
    main()
