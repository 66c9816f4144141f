from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

from cluster.cli import console
from pipeline.engines.base import AskedPrecision, EngineName
from pipeline.errors import EngineUnavailable
from pipeline.model_info import ModelInfo
from pipeline.schemas import Prediction, PredictOptions

# An image's bytes, the options, and the id that a local answer gets.
Predict = Callable[[bytes, PredictOptions, str], Prediction]


@dataclass(frozen=True)
class LocalModel:
    """A model in this process: a bundle, or a Detectron2 YAML with its checkpoint."""

    bundle: Path | None
    config: Path | None
    weights: Path | None
    classes: Sequence[str] | None
    engine: EngineName
    precision: AskedPrecision = "float32"

    @property
    def checkpoint(self) -> tuple[Path | None, Path | None, Sequence[str] | None]:
        return self.config, self.weights, self.classes

    @property
    def is_chosen(self) -> bool:
        """Return whether an option names a model or how to run one."""
        has_files = self.bundle is not None or any(part is not None for part in self.checkpoint)
        return has_files or self.engine != "auto" or self.precision != "float32"


def open_local(local: LocalModel, demo: Path) -> Predict:
    """Load the model; the bundle `demo` where none is named. Raise ModelError."""
    # PyTorch is loaded only for a model of this process.
    from pipeline.bundle.bundle import open_bundle, score_threshold
    from pipeline.engines.files.config_file import load_config_file
    from pipeline.engines.portable.config import read_resize
    from pipeline.engines.select import ModelFiles, open_engine
    from pipeline.predictor import LesionPredictor
    from pipeline.software import versions

    if local.config is None or local.weights is None or local.classes is None:
        bundle = open_bundle(local.bundle or demo)
        engine = bundle.load_engine(local.engine, precision=local.precision)
        console.remark([*bundle.manifest.remarks, *engine.remarks])
        return bundle.predictor(engine)
    if local.precision == "auto":
        raise EngineUnavailable(
            "precision 'auto' is that of a bundle, and this is a checkpoint: name the precision, "
            "or pack a bundle with --accuracy"
        )
    engine = open_engine(
        ModelFiles(local.config, local.weights), local.engine, precision=local.precision
    )
    console.remark(engine.remarks)
    with local.weights.open("rb") as file:
        sha256 = file_digest(file, "sha256").hexdigest()
    config = load_config_file(local.config)
    info = ModelInfo(
        name=local.weights.stem,
        version="unversioned",
        sha256=sha256,
        bundle_sha256="",
        engine=engine.name,
        precision=engine.precision,
        score_threshold=score_threshold(config),
        software=dict(versions(engine.name)),
    )
    return LesionPredictor(engine, read_resize(config), local.classes, info)
