"""Measure the statistics of image quality beside the decode of the same JPEG, on one thread."""

import cv2

from benchmarks.decode import encoded_scene
from benchmarks.measure import Spread, alternate, ratio
from benchmarks.report import NO_TARGET, Figure, Result
from pipeline.image.decode import decode
from pipeline.image.quality import measure

ROUNDS = 200
WANTED_MS = 3.0


def run() -> Result:
    data = encoded_scene()
    pixels = decode(data).pixels
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    seconds = alternate(
        {"decode": lambda: decode(data), "quality": lambda: measure(pixels)}, ROUNDS, warm_up=20
    )
    cv2.setNumThreads(threads)
    spent = Spread.of([1000 * second for second in seconds["quality"]])
    share = ratio(seconds["quality"], seconds["decode"])
    figures = [
        Figure(
            "quality of a 1280x960 JPEG, on one thread",
            f"<= {WANTED_MS:g} ms",
            f"{spent} ms",
            spent.median <= WANTED_MS,
        ),
        Figure("quality / decode of the same JPEG", NO_TARGET, str(share), None),
    ]
    return Result("quality", figures, {"quality_ms": str(spent), "by_decode": str(share)})
