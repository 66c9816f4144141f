import json
import os
import queue
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.errors import (
    BrokenImage,
    ImageError,
    ImageTooLarge,
    Overloaded,
    PredictionFailed,
    UnsupportedImage,
)
from pipeline.image.decode import LARGE, DecodedImage, new_pixels
from pipeline.image.decoder_process import MAX_MESSAGE, SharedMemory
from pipeline.image.inspect import check_bytes
from pipeline.image.limits import ImageLimits
from pipeline.schemas import ImageInfo

DEFAULT_CPU_SECONDS = 10

# The longest time, waiting for a processor included, in which a decoder must start or answer.
_STUCK_AFTER_S = 60.0

_ERRORS: dict[str, type[ImageError]] = {
    error.code: error for error in (BrokenImage, ImageTooLarge, UnsupportedImage)
}
_INSTALLATION = Path(__file__).resolve().parents[2]


class DecoderPool:
    """A pool of processes that decode images, apart from the caller's process.

    An image that takes too long, takes too much memory or crashes its decoder fails its own request
    only: the pool replaces the decoder, and the caller's process goes on.
    """

    def __init__(
        self, size: int, limits: ImageLimits, cpu_seconds: int = DEFAULT_CPU_SECONDS
    ) -> None:
        """Start `size` decoders. Raise PredictionFailed where a decoder does not start."""
        self._limits = limits
        self._cpu_seconds = cpu_seconds
        self._idle: queue.SimpleQueue[_Decoder | None] = queue.SimpleQueue()
        decoders = [_Decoder(limits, cpu_seconds) for _ in range(size)]
        for decoder in decoders:
            decoder.wait_until_ready()
            self._idle.put(decoder)

    def decode(self, data: bytes) -> DecodedImage:
        """Return what `decode.decode` returns, from the first decoder that is free.

        Raise ImageError; Overloaded where the host has no memory or time for the image now;
        PredictionFailed where the decoder itself fails. Any number of threads may call this.
        """
        check_bytes(data, self._limits)
        decoder = self._idle.get()
        try:
            if decoder is None or not decoder.is_usable():  # the system may have ended an idle one
                decoder = _Decoder(self._limits, self._cpu_seconds)
                decoder.wait_until_ready()
            return decoder.decode(data)
        finally:
            self._put_back(decoder)

    def _put_back(self, decoder: "_Decoder | None") -> None:
        if decoder is not None and not decoder.is_usable():
            decoder.end()
            decoder = None  # the next image starts a new one
        self._idle.put(decoder)

    def close(self) -> None:
        """End the decoders that are idle."""
        while not self._idle.empty():
            decoder = self._idle.get()
            if decoder is not None:
                decoder.end()


class _Decoder:
    """The parent's side of one decoder process."""

    def __init__(self, limits: ImageLimits, cpu_seconds: int) -> None:
        self._cpu_seconds = cpu_seconds
        self._number = 0
        self._owes_answer = True
        self._channel, channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.settimeout(_STUCK_AFTER_S)
        memory = os.memfd_create("decoder")
        try:
            self._memory = SharedMemory(memory, limits)
            descriptors = channel.fileno(), memory
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "pipeline.image.decoder_process"),
                    *map(str, descriptors),
                    *(json.dumps(asdict(limits)), str(cpu_seconds)),
                ],
                # Pass nothing of the parent's environment, which holds secrets.
                env={"PYTHONPATH": str(_INSTALLATION), "OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                pass_fds=descriptors,
            )
        finally:
            os.close(memory)
            channel.close()

    def wait_until_ready(self) -> None:
        self._receive()

    def decode(self, data: bytes) -> DecodedImage:
        self._number += 1
        self._memory.write_file(data)
        self._send({"number": self._number, "size": len(data)})
        answer = self._receive()
        # An answer to an earlier request would be another patient's picture.
        assert answer.pop("number") == self._number, "an answer belongs to its request"
        if "code" in answer:
            raise _ERRORS[answer["code"]](answer["detail"])
        info = ImageInfo.model_validate(answer)
        pixels = new_pixels(info.height, info.width)
        pixels[:] = self._memory.pixels(info.height, info.width)
        if pixels.nbytes > LARGE:
            self._memory.give_back()
        return DecodedImage(pixels, info)

    def is_usable(self) -> bool:
        """Return whether the process runs and has answered every request."""
        return not self._owes_answer and self._process.poll() is None

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._channel.close()

    def _send(self, message: dict[str, int]) -> None:
        self._owes_answer = True
        # If the process has ended meanwhile, `_receive` raises the reason from its exit status.
        with suppress(BrokenPipeError):
            self._channel.send(json.dumps(message).encode())

    def _receive(self) -> dict[str, Any]:
        """Return the next message. Raise Overloaded, or the reason for which the process ended."""
        try:
            message = self._channel.recv(MAX_MESSAGE)
        except TimeoutError as error:
            raise Overloaded("The image could not be decoded in time; try again.") from error
        except ConnectionResetError:
            message = b""
        if not message:
            raise self._reason(self._process.wait())
        self._owes_answer = False
        answer: dict[str, Any] = json.loads(message)
        return answer

    def _reason(self, status: int) -> Exception:
        if status == -signal.SIGXCPU:
            return BrokenImage(
                f"Decoding the image takes more than {self._cpu_seconds} s of processor time. "
                "Export it anew as JPEG or PNG."
            )
        if status == -signal.SIGKILL:  # by the kernel, short of memory, or by an operator
            return Overloaded("The decoder was killed while it read the image; try again.")
        if status < 0:
            return BrokenImage(
                "The image is damaged: it crashed the decoder. Export or transfer it again."
            )
        return PredictionFailed("The decoder failed on this image.")
