from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.config_file import load_config_file
from pipeline.contract import DeviceName, Engine, EngineName
from pipeline.golden import compare, read_golden
from pipeline.manifest import Manifest, check_files, check_versions, read_manifest
from pipeline.predictor import LesionPredictor
from pipeline.preprocess import Resize
from pipeline.schemas import ModelInfo, PredictOptions

WEIGHTS_FILE = "model.pth"
CONFIG_FILE = "mask_rcnn_config.yaml"
GOLDEN_FOLDER = "golden"
GOLDEN_OPTIONS = PredictOptions(masks="rle", visualization="none")


@dataclass(frozen=True)
class Bundle:
    """A verified model bundle. Use `open_bundle` to get one."""

    path: Path
    manifest: Manifest

    @property
    def class_names(self) -> list[str]:
        return self.manifest.class_names

    @cached_property
    def config(self) -> dict[str, Any]:
        return load_config_file(self.path / CONFIG_FILE)

    @property
    def resize(self) -> Resize:
        return Resize.from_config(self.config)

    @property
    def score_threshold(self) -> float:
        heads = self.config["MODEL"].get("ROI_HEADS", {})
        return float(heads.get("SCORE_THRESH_TEST", 0.05))

    def info(self, engine_name: str) -> ModelInfo:
        return ModelInfo(
            name=self.manifest.name,
            version=self.manifest.version,
            sha256=self.manifest.files[WEIGHTS_FILE],
            engine=engine_name,
        )

    def load_engine(self, engine: EngineName = "auto", device: DeviceName = "auto") -> Engine:
        """Raises ModelError."""
        # Here, so that a process which only needs the names and sizes carries no PyTorch.
        from pipeline.engines import open_engine

        return open_engine(self.path / CONFIG_FILE, self.path / WEIGHTS_FILE, engine, device)

    def predictor(self, engine: Engine) -> LesionPredictor:
        return LesionPredictor(engine, self.resize, self.class_names, self.info(engine.name))

    def check_golden(self, engine: Engine) -> int:
        """Runs the golden cases and returns how many. Raises BundleError where one differs."""
        predictor = self.predictor(engine)
        count = 0
        for image, expected in read_golden(self.path / GOLDEN_FOLDER):
            found = predictor(image.read_bytes(), GOLDEN_OPTIONS).detections
            compare(image.name, expected, found, self.score_threshold)
            count += 1
        return count


def open_bundle(path: Path) -> Bundle:
    """Verifies a bundle's manifest, versions and every file's hash, and opens nothing else.

    Raises BundleError, which says what is wrong.
    """
    manifest = read_manifest(path)
    check_versions(manifest)
    check_files(path, manifest)
    return Bundle(path, manifest)
