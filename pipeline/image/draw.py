from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.image.colours import Rgb, colour_of, contrast_of
from pipeline.instances import Lesion, MaskCrop
from pipeline.scores import percent

_Picture = NDArray[np.uint8]
_Rectangle = tuple[int, int, int, int]  # x, y, width, height
_Bgr = tuple[int, int, int]

_FILL = 0.3  # opacity of a mask's fill: the tissue stays visible
_BOLD = 600


def draw(image: _Picture, lesions: Sequence[Lesion], number_of_classes: int) -> _Picture:
    """Return a copy of `image`, (H, W, 3) uint8 BGR, with each lesion's mask, box and label.

    Where lesions overlap, the earlier one, which has the higher score, lies on top.
    number_of_classes: of the model, which the colours depend on.
    """
    picture = np.array(image, order="C")
    colours = [colour_of(lesion.class_id, number_of_classes) for lesion in lesions]
    coloured = list(zip(lesions, colours, strict=True))
    # Lines are one pixel wide per 480 pixels of the shorter side: two pixels in 1280x960.
    line = max(1, round(min(picture.shape[:2]) / 480))
    for lesion, colour in reversed(coloured):
        _fill_mask(picture, lesion.mask, _bgr(colour))
    for lesion, colour in reversed(coloured):
        _outline(picture, lesion, line, colour)
    placed: list[_Rectangle] = []
    for lesion, colour in coloured:
        placed.append(_tag(picture, lesion, placed, colour))
    return picture


def encode(image: _Picture, format: Literal["jpeg", "png"]) -> bytes:
    """Return `image`, (H, W, 3) uint8 BGR, as the bytes of a JPEG or PNG file."""
    if format == "jpeg":
        encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    else:
        encoded = cv2.imencode(".png", image)[1]
    return encoded.tobytes()


def _bgr(colour: Rgb) -> _Bgr:
    red, green, blue = colour
    return blue, green, red


def _fill_mask(picture: _Picture, mask: MaskCrop | None, colour: _Bgr) -> None:
    if mask is None or not mask.pixels.size:
        return
    height, width = mask.pixels.shape
    crop = picture[mask.y : mask.y + height, mask.x : mask.x + width]
    cv2.copyTo(cv2.LUT(crop, _tints(colour)), mask.pixels.view(np.uint8), crop)


@lru_cache(maxsize=16)
def _tints(colour: _Bgr) -> _Picture:
    """Return the (1, 256, 3) uint8 table that blends each channel value with a fill of `colour`."""
    values = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, axis=2)
    tinted = cv2.addWeighted(values, 1 - _FILL, np.full_like(values, colour), _FILL, 0)
    return tinted.astype(np.uint8, copy=False)


def _outline(picture: _Picture, lesion: Lesion, line: int, colour: Rgb) -> None:
    x1, y1, x2, y2 = (round(side) for side in lesion.box)
    corners = (x1, y1), (max(x2 - 1, x1), max(y2 - 1, y1))
    cv2.rectangle(picture, *corners, _bgr(colour), line)
    if lesion.mask is None or not lesion.mask.pixels.size:
        return
    contours, _ = cv2.findContours(
        lesion.mask.pixels.view(np.uint8),
        cv2.RETR_CCOMP,
        cv2.CHAIN_APPROX_NONE,
        offset=(lesion.mask.x, lesion.mask.y),
    )
    # Replace the stepped outline by a smoother line of far fewer points, at most 0.7 pixels away.
    lines = [cv2.approxPolyDP(contour, 0.7, True) for contour in contours]
    # A border of the other lightness keeps the line visible on any tissue.
    cv2.polylines(picture, lines, True, contrast_of(colour), 2 * line, cv2.LINE_AA)
    cv2.polylines(picture, lines, True, _bgr(colour), line, cv2.LINE_AA)


def _tag(
    picture: _Picture, lesion: Lesion, placed: Sequence[_Rectangle], colour: Rgb
) -> _Rectangle:
    """Write the lesion's label and score beside its box, and return the rectangle of the text."""
    # The font renderer crashes on control characters and lone surrogates.
    label = "".join(sign if sign.isprintable() else "?" for sign in lesion.label)
    text = f"{label} {percent(lesion.score)}"
    tag = _render(text, colour, *picture.shape[:2])
    x, y = _place(lesion.box, tag.shape[:2], picture.shape[:2], placed)
    height, width = tag.shape[:2]
    picture[y : y + height, x : x + width] = tag
    return x, y, width, height


def _render(text: str, colour: Rgb, height: int, width: int) -> _Picture:
    """Return the text on a plate of `colour`, sized for a picture of `height` by `width` pixels."""
    font = cv2.FontFace("sans")  # Hershey fonts and Pillow's font hold little beyond ASCII
    size = max(11, round(min(height, width) / 44))
    no_wrap = (0, 1 << 24)  # the line length from which text is wrapped
    text_width = cv2.getTextSize((0, 0), text, (0, 0), font, size, _BOLD, 0, no_wrap)[2]
    pad = size // 3
    plate = np.full((size + 2 * pad, text_width + 2 * pad, 3), _bgr(colour), dtype=np.uint8)
    ink = contrast_of(colour)  # a grey, in either order of channels
    baseline = pad + round(0.86 * size)
    cv2.putText(plate, text, (pad, baseline), ink, font, size, _BOLD, 0, no_wrap)
    shrink = min(1.0, width / plate.shape[1], height / plate.shape[0])
    if shrink == 1.0:
        return plate
    fitting = max(1, int(plate.shape[1] * shrink)), max(1, int(plate.shape[0] * shrink))
    return cv2.resize(plate, fitting, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _place(
    box: tuple[float, float, float, float],
    tag: tuple[int, ...],
    picture: tuple[int, ...],
    placed: Sequence[_Rectangle],
) -> tuple[int, int]:
    """Return the tag's upper left corner: in the picture, where it covers other tags least.

    tag, picture: shapes, (height, width).
    """
    height, width = tag
    x1, y1, x2, y2 = (round(side) for side in box)
    places = [
        (min(max(x, 0), picture[1] - width), min(max(y, 0), picture[0] - height))
        for y in (y1 - height, y2, y1, y2 - height)
        for x in (x1, x2 - width)
    ]
    return min(
        places, key=lambda place: sum(_overlap((*place, width, height), other) for other in placed)
    )


def _overlap(a: _Rectangle, b: _Rectangle) -> int:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)
