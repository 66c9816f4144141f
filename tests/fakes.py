"""A fake bundle without weights, for tests of the code around the model.

`open_fake_bundle` has the signature of `open_bundle`; tests/integration compares its behaviour with
that of the demo bundle. The fake model detects one lesion in the left half of each image. The first
pixel of an image (BGR) can make the model fail, exit, wait, or change its own weights.
"""

import hashlib
import io
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.bundle.bundle import WEIGHTS_FILE, Bundle
from pipeline.bundle.golden_check import GoldenCase, GoldenCheck, detect
from pipeline.bundle.manifest import Manifest
from pipeline.embedding import EmbeddingReference
from pipeline.engines.base import Engine, Precision
from pipeline.errors import BundleError
from pipeline.image.gradability import Limits, QualityLimits
from pipeline.image.resize import ModelInput, Resize
from pipeline.instances import Instances

FAILS = (0, 0, 255)
DIES = (0, 255, 0)
IS_SLOW = (255, 0, 0)
CORRUPTS = (255, 0, 255)
SLOW_S = 3.0

MANIFEST = Manifest(
    name="fake",
    version="1",
    class_names=["LSIL", "HSIL"],
    dtype="float32",
    files={WEIGHTS_FILE: "0" * 64},
    python="3.11",
    torch="2.10",
    detectron2=None,
).sealed()


class FakeEngine:
    name = "fake"
    remarks = ()
    num_classes = 2
    max_threads = 1
    precision = "float32"

    def __init__(self) -> None:
        self.batch_sizes: list[int] = []
        self.weights = np.array([0.5], np.float32)  # the lesion's share of the image's width

    def predict(self, inputs: Sequence[ModelInput]) -> list[Instances]:
        self.batch_sizes.append(len(inputs))
        return [self._find(model_input.pixels) for model_input in inputs]

    def fingerprint(self) -> str:
        return hashlib.sha256(self.weights.tobytes()).hexdigest()

    def _find(self, pixels: np.ndarray) -> Instances:
        first = tuple(pixels[0, 0].tolist())
        if first == FAILS:
            raise RuntimeError("the fake model fails on this image")
        if first == DIES:
            os._exit(1)
        if first == IS_SLOW:
            time.sleep(SLOW_S)
        if first == CORRUPTS:
            self.weights[0] = 0.25
        height, width = pixels.shape[:2]
        return Instances(
            boxes=np.array([[0, 0, width * self.weights[0], height]], np.float32),
            scores=np.array([0.9], np.float32),
            classes=np.array([1], np.int64),
            masks=np.ones((1, 28, 28), np.float32),
            embedding=pixels.mean(axis=(0, 1), dtype=np.float32),
        )


class FakeBundle(Bundle):
    @property
    def resize(self) -> Resize:
        return Resize(shortest_edge=0, longest_edge=0, channel_order="BGR")

    @property
    def score_threshold(self) -> float:
        return 0.5

    def load_engine(
        self, engine="auto", device="auto", precision="float32", threads=None
    ) -> Engine:
        return FakeEngine()

    def golden_check(self, engine: Engine) -> GoldenCheck:
        return GoldenCheck((), self.predictor(engine), 0.5)


def open_fake_bundle(path: Path) -> Bundle:
    return FakeBundle(path, MANIFEST)


class GoldenBundle(FakeBundle):
    """A fake bundle with one golden case."""

    def golden_check(self, engine: Engine) -> GoldenCheck:
        expected = detect(self.predictor(FakeEngine()), "a.png", png())
        case = GoldenCase("a.png", png(), expected)
        return GoldenCheck([case], self.predictor(engine), 0.5)


def open_golden_bundle(path: Path) -> Bundle:
    return GoldenBundle(path, MANIFEST)


class UnreproducibleBundle(FakeBundle):
    def golden_check(self, engine: Engine) -> GoldenCheck:
        raise BundleError("golden case a.png: the HSIL with score 0.900 was not found again")


def open_unreproducible_bundle(path: Path) -> Bundle:
    return UnreproducibleBundle(path, MANIFEST)


class LimitedBundle(FakeBundle):
    """A fake bundle for which images with a mean luma below 0.3 are too dark."""

    @property
    def quality_limits(self) -> QualityLimits:
        return {"luma_mean": Limits(low=0.3)}


def open_limited_bundle(path: Path) -> Bundle:
    return LimitedBundle(path, MANIFEST)


class EmbeddingBundle(LimitedBundle):
    """A fake bundle whose images' distance is that of their mean green from 120, in tens."""

    def embedding_reference(self, precision: Precision) -> EmbeddingReference:
        return EmbeddingReference(mean=[0, 120, 0], components=[[0, 1, 0]], scales=[10])


def open_embedding_bundle(path: Path) -> Bundle:
    return EmbeddingBundle(path, MANIFEST)


class StrictBundle(GoldenBundle):
    """A fake bundle for which its own golden image is too bright."""

    @property
    def quality_limits(self) -> QualityLimits:
        return {"luma_mean": Limits(high=0.3)}


def open_strict_bundle(path: Path) -> Bundle:
    return StrictBundle(path, MANIFEST)


def png(
    first: tuple[int, int, int] = (9, 9, 9), width: int = 40, height: int = 20, level: int = 120
) -> bytes:
    """Return a PNG file of one grey level, whose first pixel is `first` (BGR)."""
    pixels = np.full((height, width, 3), level, np.uint8)
    pixels[0, 0] = first[::-1]
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
