from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.bundle.golden import read_golden
from pipeline.bundle.golden_check import GoldenCase, GoldenCheck
from pipeline.bundle.manifest import Manifest, check_files, check_versions, read_manifest
from pipeline.bundle.profile import PROFILE_FILE, ReferenceProfile, read_profile
from pipeline.embedding import EmbeddingReference
from pipeline.engines.base import AskedPrecision, DeviceName, Engine, EngineName, Precision
from pipeline.engines.files.config_file import load_config_file
from pipeline.engines.portable.config import read_resize
from pipeline.errors import BundleError, EngineUnavailable
from pipeline.image.gradability import QualityLimits
from pipeline.image.resize import Resize
from pipeline.model_info import ModelInfo
from pipeline.predictor import LesionPredictor
from pipeline.schemas import Detection
from pipeline.software import versions

WEIGHTS_FILE = "model.pth"
CONFIG_FILE = "mask_rcnn_config.yaml"
GOLDEN_FOLDER = "golden"
GRAPHS_FOLDER = "openvino"
QUANTIZED_FOLDER = "int8"
DEFAULT_SCORE_THRESHOLD = 0.05  # Detectron2's default, for a configuration without a threshold


@dataclass(frozen=True)
class Bundle:
    """A verified model bundle. Use `open_bundle` to create one."""

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
        return read_resize(self.config)

    @property
    def score_threshold(self) -> float:
        return score_threshold(self.config)

    @cached_property
    def profile(self) -> ReferenceProfile | None:
        """Return the reference profile, or None where there is none. Raise BundleError."""
        if PROFILE_FILE not in self.manifest.files:
            return None
        return read_profile(self.path / PROFILE_FILE)

    @property
    def quality_limits(self) -> QualityLimits | None:
        """Return the limits of a gradable image, or None where there are none."""
        return None if self.profile is None else self.profile.limits

    def embedding_reference(self, precision: Precision) -> EmbeddingReference | None:
        """Return what distances of embeddings are measured from, or None where there is nothing."""
        if self.profile is None or self.profile.embedding is None:
            return None
        return self.profile.embedding.in_precision(precision)

    @property
    def has_int8(self) -> bool:
        return any(name.startswith(f"{QUANTIZED_FOLDER}/") for name in self.manifest.files)

    @property
    def has_masks(self) -> bool:
        return has_masks(self.config)

    def info(self, engine_name: str, precision: Precision = "float32") -> ModelInfo:
        return ModelInfo(
            name=self.manifest.name,
            version=self.manifest.version,
            sha256=self.manifest.files[WEIGHTS_FILE],
            bundle_sha256=self.manifest.digest,
            engine=engine_name,
            precision=precision,
            score_threshold=self.score_threshold,
            software=dict(versions(engine_name)),
            labels=self.manifest.labels,
        )

    def load_engine(
        self,
        engine: EngineName = "auto",
        device: DeviceName = "auto",
        precision: AskedPrecision = "float32",
        threads: int | None = None,
    ) -> Engine:
        """Return the model in an engine. Raise ModelError where no engine can run it.

        Precision `auto` is the one that was chosen when the bundle was packed, in the engine in
        which it was measured, on a CPU; whatever else is asked for with it is refused.
        """
        if precision == "auto":
            return self._load_chosen(engine, device, threads)
        # Imported here, so that a process that needs only names and sizes loads no engine.
        from pipeline.engines.select import ModelFiles, open_engine

        files = ModelFiles(
            self.path / CONFIG_FILE,
            self.path / WEIGHTS_FILE,
            self.path / GRAPHS_FOLDER,
            self.path / QUANTIZED_FOLDER,
        )
        return open_engine(files, engine, device, precision, threads)

    def _load_chosen(self, engine: EngineName, device: DeviceName, threads: int | None) -> Engine:
        from pipeline.engines.select import pick_device

        choice = self.manifest.chosen_precision
        name = f"precision 'auto' is {choice.chosen!r} in this bundle"
        if device == "cuda" or (engine != "openvino" and pick_device(device) == "cuda"):
            raise EngineUnavailable(
                f"{name}, as measured on a CPU; on a GPU name the precision yourself"
            )
        try:
            loaded = self.load_engine(engine, "cpu", choice.chosen, threads)
        except EngineUnavailable as error:
            raise EngineUnavailable(f"{name}: {error}") from error
        if loaded.name != choice.engine:
            raise EngineUnavailable(
                f"{name}, as measured with the {choice.engine} engine, and this is the "
                f"{loaded.name} engine; choose that one, or name the precision yourself"
            )
        return loaded

    def predictor(self, engine: Engine) -> LesionPredictor:
        info = self.info(engine.name, engine.precision)
        return LesionPredictor(
            engine,
            self.resize,
            self.class_names,
            info,
            quality_limits=self.quality_limits,
            embedding=self.embedding_reference(engine.precision),
        )

    def golden_check(self, engine: Engine) -> GoldenCheck:
        """Return the golden cases, ready to run on the engine. Raise BundleError."""
        cases = [
            GoldenCase(path.name, read_golden_image(path), expected)
            for path, expected in self.golden(engine.precision)
        ]
        return GoldenCheck(cases, self.predictor(engine), self.score_threshold)

    def check_golden(self, engine: Engine) -> int:
        """Run the golden cases, and return their number. Raise BundleError where a case differs."""
        check = self.golden_check(engine)
        check.run_all()
        return len(check.cases)

    def golden(self, precision: Precision = "float32") -> Iterator[tuple[Path, list[Detection]]]:
        """Yield each golden image with its expected detections. Raise BundleError."""
        return read_golden(self.path / GOLDEN_FOLDER, precision)


def has_masks(config: Mapping[str, Any]) -> bool:
    """Return whether a model of this configuration predicts masks."""
    return bool(config["MODEL"].get("MASK_ON", False))


def score_threshold(config: Mapping[str, Any]) -> float:
    """Return the lowest score of what a model of this configuration reports."""
    model = config["MODEL"]
    is_dense = model.get("META_ARCHITECTURE") == "RetinaNet"
    head = model.get("RETINANET" if is_dense else "ROI_HEADS", {})
    return float(head.get("SCORE_THRESH_TEST", DEFAULT_SCORE_THRESHOLD))


def read_golden_image(path: Path) -> bytes:
    """Return the bytes of a golden image. Raise BundleError, which names it."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"golden image {path.name}: {error.strerror or error}") from error


def open_bundle(path: Path) -> Bundle:
    """Return the bundle in the folder `path`, after its manifest, versions and hashes are verified.

    No other file is opened. Raise BundleError, which says what is wrong.
    """
    manifest = read_manifest(path)
    check_versions(manifest)
    try:
        check_files(path, manifest)
    except OSError as error:  # no permission, or a failing disk or network share
        raise BundleError(f"the bundle cannot be read: {error.strerror or error}") from error
    return Bundle(path, manifest)
