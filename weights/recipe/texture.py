"""Random fields on the image plane. Lengths are in image heights, so that a seed draws the same
picture at every resolution."""

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]


def plane(width: int, height: int) -> tuple[Field, Field]:
    """The x and y coordinate of each pixel centre, each (height, width), in image heights."""
    x = (np.arange(width, dtype=np.float32) + 0.5) / height
    y = (np.arange(height, dtype=np.float32) + 0.5) / height
    grid_x, grid_y = np.meshgrid(x, y)
    return grid_x, grid_y


def noise(rng: np.random.Generator, shape: tuple[int, int], cells: int, octaves: int = 1) -> Field:
    """Smooth noise of zero mean and unit deviation.

    `cells` is the number of grid cells along the image height in the first octave; each further
    octave doubles it at 0.55 of the amplitude.
    """
    height, width = shape
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        rows = cells * 2**octave
        columns = round(rows * width / height)
        grid = rng.standard_normal((rows + 1, columns + 1)).astype(np.float32)
        total += 0.55**octave * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return (total - total.mean()) / (total.std() + 1e-6)


def smoothstep(values: Field, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, and the cubic Hermite step between them."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def blur(field: Field, sigma: float) -> Field:
    """Gaussian blur; `sigma` in image heights."""
    return cv2.GaussianBlur(field, (0, 0), max(sigma * field.shape[0], 0.3))


def cell_borders(rng: np.random.Generator, shape: tuple[int, int], size: float) -> Field:
    """Borders of a Voronoi mosaic with cells of `size` image heights: 1 on a border, else 0."""
    labels = cv2.distanceTransformWithLabels(
        1 - _jittered_points(rng, shape, size),
        cv2.DIST_L2,
        5,
        labelType=cv2.DIST_LABEL_PIXEL,
    )[1].astype(np.float32)
    kernel = np.ones((2, 2), np.uint8)
    borders = (cv2.dilate(labels, kernel) != cv2.erode(labels, kernel)).astype(np.float32)
    return np.clip(2.5 * blur(borders, 0.0016), 0, 1)


def dots(rng: np.random.Generator, shape: tuple[int, int], spacing: float) -> Field:
    """Soft dots about `spacing` image heights apart: 1 in a dot's centre, 0 away from it."""
    points = _jittered_points(rng, shape, spacing).astype(np.float32)
    spread = blur(points, 0.17 * spacing)
    return np.clip(spread / (np.percentile(spread, 99) + 1e-6), 0, 1)


def _jittered_points(
    rng: np.random.Generator, shape: tuple[int, int], spacing: float
) -> NDArray[np.uint8]:
    height, width = shape
    rows = int(1 / spacing) + 1
    columns = int(width / height / spacing) + 1
    jitter = rng.uniform(0.1, 0.9, (2, rows, columns))
    y = (np.arange(rows)[:, None] + jitter[0]) * spacing * height
    x = (np.arange(columns)[None, :] + jitter[1]) * spacing * height
    points = np.zeros(shape, np.uint8)
    inside = (y < height) & (x < width)
    points[y[inside].astype(int), x[inside].astype(int)] = 1
    return points


def vessels(
    rng: np.random.Generator,
    shape: tuple[int, int],
    starts: NDArray[np.float64],
    length: float,
    curl: float,
    caliber: float,
) -> Field:
    """Wandering, tapering vessels from `starts` (N x 2, x and y in image heights): 0 to 1.

    `curl` is the deviation of the heading per step of 0.006 image heights, in radians.
    """
    canvas = np.zeros(shape, np.uint8)
    steps = max(2, int(length / 0.006))
    shift = 4
    to_fixed = shape[0] * 2**shift
    for start in starts:
        turn = np.cumsum(rng.normal(0, curl, steps)) + rng.uniform(0, 2 * np.pi)
        path = start + 0.006 * np.cumsum(np.stack([np.cos(turn), np.sin(turn)], 1), 0)
        points = np.round(path * to_fixed).astype(np.int32)
        for part, strength in ((points, 130), (points[: steps // 2], 230)):
            thickness = max(1, round(caliber * shape[0] * strength / 230))
            cv2.polylines(canvas, [part], False, strength, thickness, cv2.LINE_AA, shift)
    return blur(canvas.astype(np.float32) / 255, 0.0012)


def blob(
    rng: np.random.Generator,
    x: Field,
    y: Field,
    centre: tuple[float, float],
    radius: float,
    roughness: float,
) -> Field:
    """Distance-like field of one irregular region, in image heights: positive inside.

    `roughness` is the amplitude of the border's wandering, as a share of the radius.
    """
    dx, dy = x - centre[0], y - centre[1]
    tilt, stretch = rng.uniform(0, np.pi), rng.uniform(0.75, 1.0)
    along = dx * np.cos(tilt) + dy * np.sin(tilt)
    across = (dy * np.cos(tilt) - dx * np.sin(tilt)) / stretch
    angle = np.arctan2(across, along)
    border = np.ones_like(x)
    for wave in range(2, 6):
        border += rng.normal(0, 0.22 / wave) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    cells = max(3, round(0.7 / radius))
    wander = noise(rng, x.shape, cells, 4)
    return radius * (border + roughness * wander) - np.hypot(along, across)


def largest_part(mask: Mask) -> Mask:
    """The largest connected part of a mask, its holes filled."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(mask.shape, np.uint8)
    if contours:
        cv2.drawContours(filled, [max(contours, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    return filled.astype(bool)
