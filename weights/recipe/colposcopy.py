"""Synthetic colposcopy-like images with lesion masks: seeded, made of numpy and OpenCV only."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from weights.recipe.lesions import Lesion, Tissue, grow_lesion, paint_lesion
from weights.recipe.texture import Field, Mask, blur, noise, plane, smoothstep, vessels


@dataclass(frozen=True)
class Instance:
    """One lesion: class 0 LSIL, 1 HSIL, 2 carcinoma; `mask` (H, W) bool, its visible region."""

    class_id: int
    mask: Mask


@dataclass(frozen=True)
class Scene:
    """`image` is (H, W, 3) uint8, BGR."""

    image: NDArray[np.uint8]
    instances: list[Instance]


@dataclass(frozen=True)
class Cervix:
    """Where the cervix lies: centre and radius in image heights.

    edge: (H, W) distance from the centre as a share of the radius, 1 on the cervix's border.
    os: (H, W) float32, 1 in the dark opening, 0 outside.
    """

    x: float
    y: float
    radius: float
    edge: Field
    os: Field


def generate(
    seed: int, width: int = 640, height: int = 480, classes: list[int] | None = None
) -> Scene:
    """The scene of a seed; the same at every size of one aspect ratio, but for pixel rounding.

    `classes` fixes the lesions that are tried, in place of 0 to 4 random ones.
    """
    rng = np.random.default_rng(seed)
    shape = (height, width)
    cervix = place_cervix(rng, shape)
    tissue = paint_tissue(rng, shape, cervix)
    if classes is None:
        count = rng.choice(5, p=[0.08, 0.27, 0.3, 0.22, 0.13])
        classes = [int(class_id) for class_id in rng.integers(3, size=count)]
    instances = add_lesions(rng, tissue, cervix, classes)
    darken_os(tissue, cervix)
    image = photograph(rng, light(rng, tissue))
    return Scene(image, instances)


def place_cervix(rng: np.random.Generator, shape: tuple[int, int]) -> Cervix:
    x, y = plane(shape[1], shape[0])
    centre_x = 0.5 * shape[1] / shape[0] + rng.normal(0, 0.035)
    centre_y = 0.5 + rng.normal(0, 0.025)
    radius = rng.uniform(0.40, 0.47)
    angle = np.arctan2(y - centre_y, x - centre_x)
    wobble = 1 + 0.02 * noise(rng, shape, 3, 2)
    for wave in (2, 3):
        wobble += rng.normal(0, 0.025) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    edge = np.hypot(x - centre_x, y - centre_y) / (radius * wobble)
    return Cervix(centre_x, centre_y, radius, edge, _opening(rng, x - centre_x, y - centre_y))


def _opening(rng: np.random.Generator, dx: Field, dy: Field) -> Field:
    tilt = rng.normal(0, 0.25)
    long, short = rng.uniform(0.035, 0.075), rng.uniform(0.016, 0.030)
    along = dx * np.cos(tilt) + dy * np.sin(tilt)
    across = dy * np.cos(tilt) - dx * np.sin(tilt) + 2.0 * rng.normal(0, 1) * along**2
    ragged = 1 + 0.10 * noise(rng, dx.shape, 14, 3)
    return 1 - smoothstep(np.hypot(along / long, across / short) / ragged, 0.72, 1.12)


def paint_tissue(rng: np.random.Generator, shape: tuple[int, int], cervix: Cervix) -> Tissue:
    """Healthy tissue: pink squamous cervix, red columnar zone at the os, folded dark walls."""
    edge = cervix.edge
    base = np.array((0.50, 0.46, 0.83), np.float32) + rng.normal(0, 0.02, 3).astype(np.float32)
    colour = np.ones((*shape, 3), np.float32) * base
    blotches, grain = noise(rng, shape, 5, 4), noise(rng, shape, 60, 3)
    colour *= (1 + 0.05 * blotches + 0.025 * grain)[..., None]
    tissue = Tissue(colour, np.zeros(shape, np.float32))

    folds = np.sin(2 * np.pi * (2.6 * edge + 0.55 * noise(rng, shape, 4, 2)))
    folds = 0.55 * folds + 0.4 * noise(rng, shape, 9, 3)
    wall = smoothstep(edge, 0.97, 1.06)
    tissue.stain((0.50, 0.48, 0.72), wall * (0.85 + 0.12 * folds))
    groove = np.exp(-(((edge - 1.03) / 0.045) ** 2))
    tissue.stain((0.30, 0.26, 0.42), 0.8 * groove)

    reach = rng.uniform(0.22, 0.42)
    columnar = 1 - smoothstep(edge + 0.05 * noise(rng, shape, 7, 4), reach - 0.05, reach + 0.05)
    villi = noise(rng, shape, 70, 2)
    tissue.stain((0.60, 0.58, 0.88), columnar * np.clip(0.75 + 0.2 * villi, 0, 1))

    tissue.stain((0.66, 0.62, 0.84), 0.75 * _capillaries(rng, shape, cervix))
    dome = 0.55 * cervix.radius * np.sqrt(np.clip(1.02 - edge**2, 0, 1))
    tissue.relief += np.where(edge < 1, dome, 0.10 * (edge - 1) + 0.014 * folds * wall)
    tissue.relief = blur(tissue.relief, 0.006)
    tissue.relief += 0.0030 * blotches + 0.0007 * grain + 0.0016 * columnar * villi
    return tissue


def _capillaries(rng: np.random.Generator, shape: tuple[int, int], cervix: Cervix) -> Field:
    count = rng.integers(25, 60)
    angle, distance = rng.uniform(0, 2 * np.pi, count), rng.uniform(0.35, 1.5, count)
    offset = np.stack([np.cos(angle), np.sin(angle)], 1) * (distance * cervix.radius)[:, None]
    starts = offset + (cervix.x, cervix.y)
    return vessels(rng, shape, starts, rng.uniform(0.10, 0.22), 0.16, 0.0035)


def add_lesions(
    rng: np.random.Generator, tissue: Tissue, cervix: Cervix, classes: list[int]
) -> list[Instance]:
    """Paint a lesion of each class where it finds room; a class without room is left out."""
    opening = cervix.os > 0.5
    instances: list[Instance] = []
    for class_id in classes:
        lesion = _find_room(rng, cervix, class_id, [opening, *(i.mask for i in instances)])
        if lesion is not None:
            paint_lesion(rng, tissue, lesion)
            instances = [Instance(i.class_id, i.mask & ~lesion.mask) for i in instances]
            instances.append(Instance(class_id, lesion.mask & ~opening))
    return instances


def _find_room(
    rng: np.random.Generator, cervix: Cervix, class_id: int, neighbours: list[Mask]
) -> Lesion | None:
    for _ in range(12):
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.8) * cervix.radius
        centre = (cervix.x + reach * np.cos(angle), cervix.y + reach * np.sin(angle))
        lesion = grow_lesion(rng, cervix.os.shape, class_id, centre, rng.uniform(0.07, 0.18))
        visible = lesion.mask & (cervix.edge < 0.97)
        if visible.sum() > 0.7 * lesion.mask.sum() and not _crowded(visible, neighbours):
            distance = np.minimum(lesion.distance, (0.97 - cervix.edge) * cervix.radius)
            return Lesion(class_id, visible, distance, lesion.radius)
    return None


def _crowded(mask: Mask, neighbours: list[Mask]) -> bool:
    """Whether a neighbour shares more than a tenth of its area, or of the mask's."""
    return any(
        (mask & neighbour).sum() > 0.1 * min(mask.sum(), neighbour.sum())
        for neighbour in neighbours
    )


def darken_os(tissue: Tissue, cervix: Cervix) -> None:
    tissue.stain((0.10, 0.08, 0.20), cervix.os)
    tissue.relief -= 0.05 * blur(cervix.os, 0.01)


def light(rng: np.random.Generator, tissue: Tissue) -> Field:
    """The lit surface, (H, W, 3) float32 BGR: diffuse shading and the glints of a wet surface."""
    rows = tissue.relief.shape[0]
    relief = blur(tissue.relief, 0.0015)
    slope_x = cv2.Scharr(relief, cv2.CV_32F, 1, 0) * (rows / 32)
    slope_y = cv2.Scharr(relief, cv2.CV_32F, 0, 1) * (rows / 32)
    steepness = np.sqrt(1 + slope_x**2 + slope_y**2)
    lamp_x, lamp_y = rng.normal(0, 0.12), rng.normal(-0.12, 0.10)
    lamp_length = np.sqrt(1 + lamp_x**2 + lamp_y**2)
    facing = (1 - lamp_x * slope_x - lamp_y * slope_y) / steepness / lamp_length
    shaded = tissue.colour * (0.30 + 0.75 * np.clip(facing, 0, 1) ** 1.3)[..., None]

    wet = smoothstep(noise(rng, tissue.relief.shape, 6, 3), 0.2, 1.5)
    ripple = noise(rng, tissue.relief.shape, 22, 3)
    mirror = np.clip(facing + 0.008 * ripple, 0, 1.05)
    glint = wet * smoothstep(mirror, 0.995, 1.008)
    glint = np.clip(glint + 0.6 * blur(glint, 0.006), 0, 1)
    return shaded + (1 - shaded) * 0.92 * glint[..., None]


def photograph(rng: np.random.Generator, surface: Field) -> NDArray[np.uint8]:
    """What the camera makes of the surface: falloff, speculum, cast, blur, noise; (H, W, 3) BGR."""
    shape = surface.shape[:2]
    x, y = plane(shape[1], shape[0])
    half_width, half_height = 0.5 * shape[1] / shape[0], 0.5
    lamp_x, lamp_y = half_width + rng.normal(0, 0.06), half_height + rng.normal(0, 0.05)
    falloff = np.exp(-rng.uniform(0.5, 1.0) * ((x - lamp_x) ** 2 + (y - lamp_y) ** 2) / 0.6)
    aperture_height = rng.uniform(0.56, 0.70)
    aperture = np.hypot((x - half_width) / (1.08 * half_width), (y - half_height) / aperture_height)
    shadow = smoothstep(aperture + 0.01 * noise(rng, shape, 4, 2), 0.90, 1.12)
    image = surface * (falloff * (1 - 0.93 * shadow))[..., None]

    cast = np.exp(rng.normal(0, (0.05, 0.03, 0.03))).astype(np.float32)
    image = np.clip(image * cast * rng.uniform(0.95, 1.2), 0, 1) ** rng.uniform(0.85, 1.1)
    image = blur(image, rng.uniform(0.0006, 0.0018))
    image += rng.uniform(0.004, 0.012) * noise(rng, shape, 480)[..., None]
    return np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
