import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from platform import python_version

import torch
import yaml

from pipeline.bundle import (
    CONFIG_FILE,
    GOLDEN_FOLDER,
    GOLDEN_OPTIONS,
    WEIGHTS_FILE,
    Bundle,
    open_bundle,
)
from pipeline.config_file import load_config_file
from pipeline.contract import EngineName
from pipeline.engine.checkpoint import State, read_checkpoint
from pipeline.engines import open_engine
from pipeline.errors import BundleError
from pipeline.golden import write_golden
from pipeline.manifest import Manifest, sha256_of
from pipeline.predictor import LesionPredictor
from pipeline.preprocess import Resize
from pipeline.schemas import Detection, ModelInfo


@dataclass(frozen=True)
class Source:
    """What an ML engineer hands over. `detectron2` is the version that trained it, if known."""

    weights: Path
    config: Path
    class_names: Sequence[str]
    name: str
    version: str
    golden: Sequence[Path] = ()
    half: bool = False
    trust_pickle: bool = False
    detectron2: str | None = None


def pack(source: Source, target: Path, engine: EngineName = "auto") -> Bundle:
    """Writes a bundle into `target`, which must not exist, and proves it by its golden cases.

    The same source gives the same bytes. Optimizer state and everything else of the training is
    dropped. Raises ModelError; nothing is left behind then.
    """
    if target.exists():
        raise BundleError(f"{target.name} exists already; a bundle is never overwritten")
    draft = target.with_name(f".{target.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        (draft / GOLDEN_FOLDER).mkdir(parents=True)
        _write_model(source, draft)
        _record_golden(source, draft, engine)
        _seal(source, draft)
        open_bundle(draft)
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return open_bundle(target)


def _write_model(source: Source, draft: Path) -> None:
    state = read_checkpoint(source.weights, trust_pickle=source.trust_pickle)
    torch.save(halved(state) if source.half else compact(state), draft / WEIGHTS_FILE)
    tree = load_config_file(source.config)
    tree.setdefault("MODEL", {})["WEIGHTS"] = WEIGHTS_FILE
    # Where the training wrote to is nobody's business, and changes the bytes.
    tree.pop("OUTPUT_DIR", None)
    text = yaml.safe_dump(tree, sort_keys=True)
    (draft / CONFIG_FILE).write_text(text, encoding="utf-8")


def compact(state: State) -> State:
    """Each tensor with storage of its own, so that a view does not drag its whole base along."""
    return {key: value.detach().clone().contiguous() for key, value in sorted(state.items())}


def halved(state: State) -> State:
    """float16 wherever every value stays finite; the rest as it is."""

    def half(value: torch.Tensor) -> torch.Tensor:
        if not value.is_floating_point():
            return value
        small = value.half()
        return small if bool(small.isfinite().all()) else value

    return compact({key: half(value) for key, value in state.items()})


def _record_golden(source: Source, draft: Path, engine_name: EngineName) -> None:
    engine = open_engine(draft / CONFIG_FILE, draft / WEIGHTS_FILE, engine_name, "auto")
    resize = Resize.from_config(load_config_file(draft / CONFIG_FILE))
    info = ModelInfo(
        name=source.name,
        version=source.version,
        sha256=sha256_of(draft / WEIGHTS_FILE),
        engine=engine.name,
    )
    predictor = LesionPredictor(engine, resize, source.class_names, info)
    cases: dict[str, list[Detection]] = {}
    for path in source.golden:
        if path.name in cases:
            raise BundleError(f"two golden images are named {path.name}")
        data = path.read_bytes()
        cases[path.name] = predictor(data, GOLDEN_OPTIONS).detections
        (draft / GOLDEN_FOLDER / path.name).write_bytes(data)
    write_golden(draft / GOLDEN_FOLDER, cases)


def _seal(source: Source, draft: Path) -> None:
    files = sorted(path for path in draft.rglob("*") if path.is_file())
    Manifest(
        name=source.name,
        version=source.version,
        class_names=list(source.class_names),
        dtype="float16" if source.half else "float32",
        files={path.relative_to(draft).as_posix(): sha256_of(path) for path in files},
        python=python_version(),
        torch=metadata.version("torch"),
        detectron2=source.detectron2,
    ).sealed().write(draft)
