from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.instances import Lesion
from pipeline.scores import percent

_Picture = NDArray[np.uint8]
_Rectangle = tuple[int, int, int, int]  # x, y, width, height
_Color = tuple[int, int, int]

# Okabe and Ito's colours, told apart with any colour vision, as BGR. One for each class id, in
# turn; those that stand out from pink tissue come first.
_PALETTE: tuple[_Color, ...] = (
    (233, 180, 86),  # sky blue
    (66, 228, 240),  # yellow
    (115, 158, 0),  # bluish green
    (178, 114, 0),  # blue
    (0, 159, 230),  # orange
    (167, 121, 204),  # reddish purple
    (0, 94, 213),  # vermillion
)
_DARK: _Color = (32, 32, 32)
_LIGHT: _Color = (255, 255, 255)
_FILL = 0.3  # faint enough to see the tissue through it
_BOLD = 600


def draw(image: _Picture, lesions: Sequence[Lesion]) -> _Picture:
    """A copy of `image` ((H, W, 3) uint8 BGR) with each lesion's mask, box and name on it.

    Of two lesions in one place the earlier, surer one lies on top.
    """
    picture = np.array(image, order="C")
    # One pixel for every 480 of the shorter side: the lines of 1280x960 are two pixels wide.
    line = max(1, round(min(picture.shape[:2]) / 480))
    for lesion in reversed(lesions):
        _fill_mask(picture, lesion)
    for lesion in reversed(lesions):
        _outline(picture, lesion, line)
    placed: list[_Rectangle] = []
    for lesion in lesions:
        placed.append(_tag(picture, lesion, placed))
    return picture


def encode(image: _Picture, format: Literal["jpeg", "png"]) -> bytes:
    """The file's bytes; `image` is (H, W, 3) uint8 BGR."""
    if format == "jpeg":
        encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    else:
        encoded = cv2.imencode(".png", image)[1]
    return encoded.tobytes()


def _color(lesion: Lesion) -> _Color:
    return _PALETTE[lesion.class_id % len(_PALETTE)]


def _fill_mask(picture: _Picture, lesion: Lesion) -> None:
    mask = lesion.mask
    if mask is None or not mask.pixels.size:
        return
    height, width = mask.pixels.shape
    crop = picture[mask.y : mask.y + height, mask.x : mask.x + width]
    cv2.copyTo(cv2.LUT(crop, _tints(_color(lesion))), mask.pixels.view(np.uint8), crop)


@lru_cache(maxsize=len(_PALETTE))
def _tints(color: _Color) -> _Picture:
    """(1, 256, 3): what each value of each channel becomes below a fill of `color`."""
    values = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, axis=2)
    tinted = cv2.addWeighted(values, 1 - _FILL, np.full_like(values, color), _FILL, 0)
    return tinted.astype(np.uint8, copy=False)


def _outline(picture: _Picture, lesion: Lesion, line: int) -> None:
    x1, y1, x2, y2 = (round(side) for side in lesion.box)
    corners = (x1, y1), (max(x2 - 1, x1), max(y2 - 1, y1))
    cv2.rectangle(picture, *corners, _color(lesion), line)
    if lesion.mask is None or not lesion.mask.pixels.size:
        return
    contours, _ = cv2.findContours(
        lesion.mask.pixels.view(np.uint8),
        cv2.RETR_CCOMP,
        cv2.CHAIN_APPROX_NONE,
        offset=(lesion.mask.x, lesion.mask.y),
    )
    # Within half a pixel of the mask's steps runs a smoother line of far fewer points.
    lines = [cv2.approxPolyDP(contour, 0.7, True) for contour in contours]
    # A dark edge keeps the line visible on any tissue.
    cv2.polylines(picture, lines, True, _DARK, 2 * line, cv2.LINE_AA)
    cv2.polylines(picture, lines, True, _color(lesion), line, cv2.LINE_AA)


def _tag(picture: _Picture, lesion: Lesion, placed: Sequence[_Rectangle]) -> _Rectangle:
    """Writes the lesion's class and score beside its box; returns where."""
    # Control characters and lone surrogates must not reach the font renderer: it crashes on them.
    label = "".join(sign if sign.isprintable() else "?" for sign in lesion.label)
    text = f"{label} {percent(lesion.score)}"
    tag = _render(text, _color(lesion), *picture.shape[:2])
    x, y = _place(lesion.box, tag.shape[:2], picture.shape[:2], placed)
    height, width = tag.shape[:2]
    picture[y : y + height, x : x + width] = tag
    return x, y, width, height


def _render(text: str, color: _Color, height: int, width: int) -> _Picture:
    """The text on a plate of `color`, sized for a picture of `height` by `width` pixels."""
    font = cv2.FontFace("sans")  # Hershey fonts, and Pillow's, know little beyond ASCII
    size = max(11, round(min(height, width) / 44))
    endless = (0, 1 << 24)  # the text must not be wrapped
    text_width = cv2.getTextSize((0, 0), text, (0, 0), font, size, _BOLD, 0, endless)[2]
    pad = size // 3
    plate = np.full((size + 2 * pad, text_width + 2 * pad, 3), color, dtype=np.uint8)
    # Dark text on the bright colours, by their luminance.
    ink = _DARK if np.dot(color, (0.114, 0.587, 0.299)) > 110 else _LIGHT
    baseline = pad + round(0.86 * size)
    cv2.putText(plate, text, (pad, baseline), ink, font, size, _BOLD, 0, endless)
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
    """The tag's upper left corner: within the picture, and where it covers other tags least."""
    height, width = tag
    x1, y1, x2, y2 = (round(side) for side in box)
    places = [
        (min(max(x, 0), picture[1] - width), min(max(y, 0), picture[0] - height))
        for y in (y1 - height, y2, y1, y2 - height)
        for x in (x1, x2 - width)
    ]
    return min(places, key=lambda at: sum(_overlap((*at, width, height), it) for it in placed))


def _overlap(a: _Rectangle, b: _Rectangle) -> int:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)
