"""How each of the three lesion classes changes the tissue: its colour and its relief."""

from dataclasses import dataclass

import numpy as np

from weights.recipe.texture import (
    Field,
    Mask,
    blob,
    blur,
    cell_borders,
    dots,
    largest_part,
    noise,
    plane,
    smoothstep,
    vessels,
)

CLASS_NAMES = ("LSIL", "HSIL", "carcinoma")


@dataclass
class Tissue:
    """The surface before lighting.

    colour: (H, W, 3) float32 reflectance, BGR, 0 to 1.
    relief: (H, W) float32 height towards the camera, in image heights.
    """

    colour: Field
    relief: Field

    def tint(self, colour: tuple[float, float, float], amount: Field) -> None:
        """Blend towards a BGR colour by `amount` (H, W), 0 to 1."""
        self.colour += amount[..., None] * (np.array(colour, np.float32) - self.colour)

    def stain(self, factors: tuple[float, float, float], amount: Field) -> None:
        """Multiply by BGR factors where `amount` (H, W) is 1, and by 1 where it is 0."""
        self.colour *= 1 - amount[..., None] * (1 - np.array(factors, np.float32))


@dataclass
class Lesion:
    """One lesion before painting.

    mask: (H, W) bool.
    distance: (H, W) float32, falling from the centre outwards, 0 on the border, in image heights.
    radius: in image heights.
    """

    class_id: int
    mask: Mask
    distance: Field
    radius: float


def grow_lesion(
    rng: np.random.Generator,
    shape: tuple[int, int],
    class_id: int,
    centre: tuple[float, float],
    radius: float,
) -> Lesion:
    """An irregular lesion around a centre, x and y in image heights."""
    x, y = plane(shape[1], shape[0])
    roughness = (0.17, 0.09, 0.12)[class_id]
    distance = blob(rng, x, y, centre, radius, roughness)
    mask = largest_part(distance > 0)
    distance = np.where(mask, distance, np.minimum(distance, -0.02)).astype(np.float32)
    return Lesion(class_id, mask, distance, radius)


def paint_lesion(rng: np.random.Generator, tissue: Tissue, lesion: Lesion) -> None:
    painters = (paint_lsil, paint_hsil, paint_carcinoma)
    painters[lesion.class_id](rng, tissue, lesion)


def paint_lsil(rng: np.random.Generator, tissue: Tissue, lesion: Lesion) -> None:
    """A thin, pale acetowhite patch whose border fades into the tissue."""
    distance, shape = lesion.distance, lesion.mask.shape
    fade = smoothstep(distance, -0.012, 0.022)
    cloud = 1 + 0.13 * noise(rng, shape, 14, 3)
    amount = np.clip(fade * cloud * rng.uniform(0.5, 0.64), 0, 0.8)
    tissue.tint((0.82, 0.83, 0.93), amount)
    tissue.stain((0.8, 0.8, 0.95), 0.35 * fade * dots(rng, shape, rng.uniform(0.010, 0.013)))


def paint_hsil(rng: np.random.Generator, tissue: Tissue, lesion: Lesion) -> None:
    """A dense, opaque, sharply bordered plaque with coarse mosaic or punctation."""
    distance, shape = lesion.distance, lesion.mask.shape
    plaque = smoothstep(distance, -0.003, 0.005)
    cloud, mottle = noise(rng, shape, 8, 4), noise(rng, shape, 40, 3)
    tissue.tint((0.78, 0.83, 0.90), plaque * np.clip(0.84 + 0.07 * cloud, 0, 0.97))
    tissue.colour *= (1 + 0.02 * plaque * mottle)[..., None]
    coarse = rng.uniform(0.022, 0.032)
    if rng.random() < 0.6:
        pattern = cell_borders(rng, shape, coarse)
    else:
        pattern = dots(rng, shape, 0.75 * coarse)
    interior = smoothstep(distance, 0.004, 0.02)
    patchy = smoothstep(noise(rng, shape, 7, 2), -1.2, 0.6)
    tissue.stain((0.55, 0.52, 0.84), interior * pattern * (0.15 + 0.75 * patchy))
    tissue.relief += 0.006 * smoothstep(distance, -0.002, 0.02) + 0.0010 * plaque * cloud


def paint_carcinoma(rng: np.random.Generator, tissue: Tissue, lesion: Lesion) -> None:
    """A raised, nodular dark red mass with necrosis, an ulcer and atypical vessels."""
    distance, radius, shape = lesion.distance, lesion.radius, lesion.mask.shape
    mass = smoothstep(distance, -0.003, 0.007)
    inflamed = np.exp(-((distance / 0.03) ** 2)) * (1 - mass)
    tissue.stain((0.70, 0.66, 0.90), inflamed)

    lobes = np.abs(noise(rng, shape, 9, 1)) + 0.5 * np.abs(noise(rng, shape, 20, 1))
    grain = noise(rng, shape, 50, 3)
    clefts = smoothstep(0.5 - lobes, 0.0, 0.5)
    tissue.tint((0.20, 0.17, 0.55), 0.9 * mass)
    tissue.colour *= (1 + mass * (0.10 * grain - 0.35 * clefts))[..., None]

    necrosis = mass * smoothstep(noise(rng, shape, 8, 5), 0.3, 1.3) * smoothstep(distance, 0, 0.03)
    tissue.tint((0.46, 0.63, 0.78), 0.85 * necrosis * np.clip(0.9 + 0.12 * grain, 0, 1.1))
    ragged = 0.15 * radius * noise(rng, shape, max(4, round(1 / radius)), 4)
    ulcer = smoothstep(distance + ragged, 0.50 * radius, 0.85 * radius)
    tissue.tint((0.07, 0.05, 0.24), 0.85 * ulcer)
    atypical = mass * (1 - ulcer) * _atypical_vessels(rng, lesion)
    tissue.stain((0.40, 0.30, 0.50), 0.8 * atypical)

    swell = smoothstep(distance, -0.005, 0.8 * radius)
    tissue.relief += 0.25 * radius * swell + mass * (0.008 * lobes + 0.0010 * grain)
    tissue.relief -= 0.12 * radius * blur(ulcer, 0.005)


def _atypical_vessels(rng: np.random.Generator, lesion: Lesion) -> Field:
    inside = np.argwhere(lesion.distance > 0.1 * lesion.radius)
    starts = inside[rng.integers(len(inside), size=18), ::-1] / lesion.mask.shape[0]
    return vessels(rng, lesion.mask.shape, starts, 0.3 * lesion.radius + 0.02, 0.42, 0.004)
