"""The quality of a picture, as numbers that need no model.

Each is computed on the picture reduced to at most 640 pixels, so that it means the same for every
camera with more pixels. All sums are of whole numbers, so no number of threads changes a digit.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.rounding import significant
from pipeline.schemas import ImageStatistics

LONGEST_EDGE = 640  # pixels of the reduced picture

# Of 255. Cameras clip a little before the ends, and JPEG blurs the ends by a few levels.
_DARK, _BRIGHT = 5, 250
_GLARE = 230
# The kernel of Immerkær's estimator is this one along both axes; it answers to no plane or slope.
_SECOND_DIFFERENCE = np.array([1, -2, 1], np.float32)
# The side of each corner, and of the margin around the centre, as parts of the picture's.
_CORNER, _MARGIN = 8, 4

Picture = NDArray[np.uint8]


def measure(pixels: Picture) -> ImageStatistics:
    """Return the statistics of an upright picture, (H, W, 3) uint8 BGR, of any size.

    `ImageStatistics` says what each one is, in which unit, and where it comes from.
    """
    picture = reduce(pixels)
    luma = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
    mean, variance, dark, bright = _exposure(luma)
    laplacian_variance = _laplacian_variance(luma)
    blue, green, red, _ = cv2.mean(picture)
    statistics = {
        "luma_mean": mean / 255,
        "dark_share": dark,
        "bright_share": bright,
        "glare_share": _glare_share(picture),
        "contrast": math.sqrt(variance) / mean if mean else 0.0,
        "laplacian_variance": laplacian_variance,
        "tenengrad": _tenengrad(luma),
        "sharpness": laplacian_variance / variance if variance else 0.0,
        "noise": _noise(luma),
        "red_stops": math.log2((red + 1) / (green + 1)),
        "blue_stops": math.log2((blue + 1) / (green + 1)),
        "vignette": _vignette(luma),
    }
    rounded = {name: significant(value) for name, value in statistics.items()}
    return ImageStatistics(shorter_side=min(pixels.shape[:2]), **rounded)


def reduce(pixels: Picture) -> Picture:
    """Return the picture with at most 640 pixels along its longer edge, never enlarged.

    Each pixel is the mean of those that it replaces. A whole factor comes first, for which OpenCV
    is ten times as fast; it leaves out a rest of fewer pixels than the factor on the right and at
    the bottom.
    """
    factor = max(pixels.shape[:2]) // LONGEST_EDGE
    height, width = (side // max(factor, 1) or side for side in pixels.shape[:2])
    if factor > 1:
        whole = pixels[: height * factor, : width * factor]
        pixels = _resized(whole, height, width)
    longest = max(height, width)
    if longest > LONGEST_EDGE:
        scale = LONGEST_EDGE / longest
        pixels = _resized(pixels, max(1, round(height * scale)), max(1, round(width * scale)))
    return pixels


def _resized(pixels: Picture, height: int, width: int) -> Picture:
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _exposure(luma: Picture) -> tuple[float, float, float, float]:
    """Return the mean, the variance, and the shares of clipped dark and bright pixels of (H, W)."""
    histogram = cv2.calcHist([luma], [0], None, [256], [0, 256]).ravel().astype(np.int64)
    levels = np.arange(256)
    count = luma.size
    total, squares = int(histogram @ levels), int(histogram @ levels**2)
    variance = (squares * count - total**2) / count**2
    dark, bright = int(histogram[: _DARK + 1].sum()), int(histogram[_BRIGHT:].sum())
    return total / count, variance, dark / count, bright / count


def _laplacian_variance(luma: Picture) -> float:
    laplacian = cv2.Laplacian(luma, cv2.CV_16S)
    count = laplacian.size
    total = int(cv2.sumElems(laplacian)[0])
    return (int(cv2.norm(laplacian, cv2.NORM_L2SQR)) * count - total**2) / count**2


def _tenengrad(luma: Picture) -> float:
    return sum(cv2.norm(slope, cv2.NORM_L2SQR) for slope in cv2.spatialGradient(luma)) / luma.size


def _noise(luma: Picture) -> float:
    residual = cv2.sepFilter2D(luma, cv2.CV_16S, _SECOND_DIFFERENCE, _SECOND_DIFFERENCE)
    return math.sqrt(math.pi / 2) / 6 * cv2.norm(residual, cv2.NORM_L1) / luma.size


def _glare_share(picture: Picture) -> float:
    """Return the share of pixels whose highest channel is near white, and whose lowest is not far.

    In HSV that is a value of at least 0.9 and a saturation of at most 0.2.
    """
    blue, green, red = cv2.split(picture)
    highest = cv2.max(cv2.max(blue, green), red)
    lowest = cv2.min(cv2.min(blue, green), red)
    _, bright = cv2.threshold(highest, _GLARE - 1, 255, cv2.THRESH_BINARY)
    # 1.25 * lowest is cut off at 255, which no channel exceeds.
    pale = cv2.compare(cv2.convertScaleAbs(lowest, alpha=1.25), highest, cv2.CMP_GE)
    return cv2.countNonZero(cv2.bitwise_and(bright, pale)) / highest.size


def _vignette(luma: Picture) -> float:
    height, width = luma.shape
    rows, columns = max(1, height // _CORNER), max(1, width // _CORNER)
    corners = [
        luma[down, across]
        for down in (slice(rows), slice(height - rows, None))
        for across in (slice(columns), slice(width - columns, None))
    ]
    corner = sum(cv2.sumElems(part)[0] for part in corners) / (len(corners) * rows * columns)
    top, left = height // _MARGIN, width // _MARGIN
    middle = luma[top : height - top, left : width - left]
    centre = cv2.sumElems(middle)[0] / middle.size
    return (centre - corner) / (centre + corner) if centre + corner else 0.0
