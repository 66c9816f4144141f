import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as coco

from pipeline.engines.files.config_file import load_config_file
from pipeline.engines.portable.build import build_model
from pipeline.engines.portable.config import parse_config, read_resize
from pipeline.image.decode import DecodedImage, decode
from pipeline.image.resize import ModelInput
from pipeline.instances import Instances
from pipeline.postprocess import postprocess
from pipeline.schemas import Detection, PredictOptions, RleMask

HERE = Path(__file__).parent
IMAGES = sorted((HERE / "images").iterdir())

# The largest differences of a correct engine in float32.
BOX_TOLERANCE = 0.05  # pixels of the source image
SCORE_TOLERANCE = 1e-3
MIN_MASK_IOU = 0.995
EMBEDDING_TOLERANCE = 1e-4  # of its length


@dataclass(frozen=True)
class Case:
    """A folder below `cases/`, with a Detectron2 model and Detectron2's recorded results."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def expected(self) -> dict[str, dict[str, Any]]:
        """Return boxes, scores, classes and masks in source pixels, by the name of the image."""
        results: dict[str, dict[str, Any]] = json.loads(
            (self.folder / "expected.json").read_text()
        )["results"]
        return {Path(name).name: result for name, result in results.items()}

    def weights(self, scratch: Path) -> Path:
        """Return the checkpoint. One that is too large to keep is generated in `scratch`."""
        seed = self.folder / "weights.seed"
        if not seed.exists():
            return self.folder / "model.pth"
        path = scratch / f"{self.folder.name}.pth"
        if not path.exists():
            torch.save(generate(self.config, int(seed.read_text())), path)
        return path

    def inputs(self) -> dict[str, tuple[DecodedImage, ModelInput]]:
        """Return the decoded image and the model input of each image, by its name."""
        resize = read_resize(load_config_file(self.config))
        sources = {path.name: decode(path.read_bytes()) for path in IMAGES}
        return {name: (source, resize(source.pixels)) for name, source in sources.items()}


CASES = [Case(folder) for folder in sorted((HERE / "cases").iterdir())]


def generate(config: Path, seed: int) -> dict[str, torch.Tensor]:
    """Return random weights that are the same on every machine.

    NumPy keeps the stream of `RandomState` fixed (NEP 19), unlike that of `default_rng`.
    """
    state = build_model(parse_config(load_config_file(config))).state_dict()
    random = np.random.RandomState(seed)
    for key in sorted(state):
        noise = torch.from_numpy(random.standard_normal(tuple(state[key].shape))).float()
        if noise.ndim > 1:
            state[key] = noise * gain(key) / noise[0].numel() ** 0.5
        elif key.endswith(".bias"):
            state[key] = 0.1 * noise
    return state


def gain(key: str) -> float:
    """Return the standard deviation of a layer's output for inputs of standard deviation 1."""
    spreads = {"cls_score": 3.0, "objectness_logits": 3.0, "anchor_deltas": 0.3, "predictor": 3.0}
    return spreads.get(key.split(".")[-2], 2**0.5)


def assert_expected(
    expected: dict[str, Any], source: DecodedImage, model_input: ModelInput, instances: Instances
) -> None:
    """Assert that the instances, in source pixels, equal Detectron2's result."""
    shape = model_input.pixels.shape
    names = [str(i) for i in range(100)]
    options = PredictOptions(masks="rle", visualization="none", score_threshold=None)
    detections = postprocess(source, (shape[0], shape[1]), instances, names, options).detections
    assert [d.class_id for d in detections] == expected["classes"]
    assert [d.score for d in detections] == pytest.approx(expected["scores"], abs=SCORE_TOLERANCE)
    for detection, box in zip(detections, expected["boxes"], strict=True):
        assert detection.box == pytest.approx(box, abs=BOX_TOLERANCE)
    if expected["masks"] is None:
        assert all(d.mask is None for d in detections)
    else:
        for detection, mask in zip(detections, expected["masks"], strict=True):
            assert mask_iou(detection, mask) >= MIN_MASK_IOU


def assert_same_embedding(instances: Instances, expected: Instances) -> None:
    assert instances.embedding is not None
    assert expected.embedding is not None
    difference = np.linalg.norm(instances.embedding - expected.embedding)
    assert difference <= EMBEDDING_TOLERANCE * np.linalg.norm(expected.embedding)


def mask_iou(detection: Detection, expected: dict[str, Any]) -> float:
    assert isinstance(detection.mask, RleMask)
    mask = {"size": list(detection.mask.size), "counts": detection.mask.counts}
    if coco.area(mask) == coco.area(expected) == 0:
        return 1.0
    return float(coco.iou([mask], [expected], [0])[0][0])
