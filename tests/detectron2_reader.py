"""Read an image file by the steps of Detectron2's `detection_utils.read_image`.

The reader runs in a process of its own, since the product changes how Pillow reads TIFF.
"""

import io
import pickle
import sys
from subprocess import PIPE, Popen

import numpy as np
from PIL import Image

from serve_app.paths import ROOT

_METHODS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


_processes: list[Popen[bytes]] = []


def read_image(data: bytes) -> np.ndarray:
    """Return the picture of `read_image(path, "BGR")`, (H, W, 3) uint8. Raise Pillow's errors."""
    process = _process()
    assert process.stdin is not None
    assert process.stdout is not None
    pickle.dump(data, process.stdin)
    process.stdin.flush()
    result = pickle.load(process.stdout)
    if isinstance(result, Exception):
        raise result
    return result


def _process() -> "Popen[bytes]":
    """Return the reader's process; start a new one where Ray's shutdown has ended the last one."""
    if not _processes or _processes[-1].poll() is not None:
        command = [sys.executable, "-m", "tests.detectron2_reader"]
        _processes.append(Popen(command, stdin=PIPE, stdout=PIPE, cwd=ROOT))
    return _processes[-1]


def _serve() -> None:
    """Read pickled image files from stdin, and write pixels or errors to stdout, until EOF."""
    while True:
        try:
            data = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            result: np.ndarray | Exception = _read(data)
        except Exception as error:  # noqa: BLE001 - the caller raises it
            result = error
        pickle.dump(result, sys.stdout.buffer)
        sys.stdout.flush()


def _read(data: bytes) -> np.ndarray:
    assert "pipeline" not in sys.modules
    image: Image.Image = Image.open(io.BytesIO(data))
    try:
        exif = image.getexif()
    except Exception:  # noqa: BLE001 - as Detectron2 does, whatever Pillow raises
        exif = Image.Exif()
    method = _METHODS.get(exif.get(274))
    if method is not None:
        image = image.transpose(method)
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])


if __name__ == "__main__":
    _serve()
