"""Measure drawing ten lesions on 1280x960 pixels: `draw` alone, the encoding alone, both together.

Measured are a copy of the image, fills, outlines, boxes, labels and, where it is named, JPEG at
quality 90 or PNG; pasting the masks and base64 are not.
"""

import numpy as np

from benchmarks.masks import blob
from benchmarks.measure import Spread, alternate
from benchmarks.report import Figure, Result
from benchmarks.standard import CLASS_NAMES, SEED, scene
from pipeline.image import masks
from pipeline.image.draw import draw, encode
from pipeline.instances import Lesion

WIDTH, HEIGHT, COUNT = 1280, 960, 10
WANTED_MS = 15
ROUNDS = 50


def run() -> Result:
    image, drawn = scene(1, WIDTH, HEIGHT), lesions()
    picture = draw(image, drawn, len(CLASS_NAMES))
    seconds = alternate(
        {
            "draw": lambda: draw(image, drawn, len(CLASS_NAMES)),
            "encode as JPEG": lambda: encode(picture, "jpeg"),
            "draw and encode as JPEG": lambda: encode(draw(image, drawn, len(CLASS_NAMES)), "jpeg"),
            "encode as PNG": lambda: encode(picture, "png"),
        },
        ROUNDS,
    )
    spreads = {name: Spread.of([1000 * each for each in taken]) for name, taken in seconds.items()}
    names = ("draw", "draw and encode as JPEG")
    return Result(
        "drawing", [_figure(name, spreads[name]) for name in names], {"ms": _text(spreads)}
    )


def lesions() -> list[Lesion]:
    """Return lesions in boxes of 80 to 360 pixels, each class in its turn, some over others."""
    rng = np.random.default_rng(SEED)
    drawn = []
    for i in range(COUNT):
        sides = rng.uniform(80, 360, 2)
        x, y = rng.random(2) * ((WIDTH, HEIGHT) - sides)
        box = (x, y, x + sides[0], y + sides[1])
        mask = masks.paste(blob(rng).astype(np.float32), box, HEIGHT, WIDTH).crop()
        class_id = i % len(CLASS_NAMES)
        drawn.append(Lesion(class_id, CLASS_NAMES[class_id], 0.99 - i / 20, box, mask))
    return drawn


def _figure(name: str, spread: Spread) -> Figure:
    target = f"{name}: {COUNT} lesions on {WIDTH}x{HEIGHT}"
    return Figure(target, f"<= {WANTED_MS} ms", f"{spread} ms", spread.median <= WANTED_MS)


def _text(spreads: dict[str, Spread]) -> dict[str, str]:
    return {name: str(spread) for name, spread in spreads.items()}
