"""A picture of the images on which two models differ most, side by side."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cluster.cli.comparison_report import ImageReport
from cluster.cli.comparison_table import differences
from pipeline.image.draw import encode

_Picture = NDArray[np.uint8]

_HEIGHT, _WIDTH = 360, 480  # pixels in which each model's picture is fitted
_LINE, _TEXT = 28, 16  # pixels of a caption's line, and of its letters
_INK, _PAPER = (32, 32, 32), 255


@dataclass(frozen=True, slots=True)
class WorstImage:
    """An image, and the pictures with each model's lesions drawn on it, as base64 of a JPEG."""

    report: ImageReport
    first: str
    second: str


def draw_worst(images: Sequence[WorstImage]) -> bytes:
    """Return a JPEG with a row for each image: a caption, and the first and the second model's."""
    return encode(np.vstack([_row(image) for image in images]), "jpeg")


def _row(image: WorstImage) -> _Picture:
    pictures = np.hstack([_fitted(image.first), _fitted(image.second)])
    name = Path(image.report.image).name
    return np.vstack([_caption(f"{name}: {differences(image.report)}"), pictures])


def _fitted(encoded: str) -> _Picture:
    """Return the picture, (360, 480, 3) uint8 BGR, as large as it fits and with a white border."""
    data = np.frombuffer(base64.b64decode(encoded), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert picture is not None, "this process has encoded it"
    scale = min(_HEIGHT / picture.shape[0], _WIDTH / picture.shape[1])
    size = max(1, int(picture.shape[1] * scale)), max(1, int(picture.shape[0] * scale))
    frame = np.full((_HEIGHT, _WIDTH, 3), _PAPER, np.uint8)
    frame[: size[1], : size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return frame


def _caption(text: str) -> _Picture:
    # The font renderer crashes on control characters and lone surrogates.
    line = "".join(sign if sign.isprintable() else "?" for sign in text)
    plate = np.full((_LINE, 2 * _WIDTH, 3), _PAPER, np.uint8)
    no_wrap = (0, 1 << 24)  # the line length from which text is wrapped
    cv2.putText(plate, line, (6, _LINE - 9), _INK, cv2.FontFace("sans"), _TEXT, 400, 0, no_wrap)
    return plate
