import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from platform import python_version
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
import yaml

from pipeline.bundle.annotated_images import (
    AnnotatedImages,
    Evaluation,
    read_annotated_images,
)
from pipeline.bundle.bundle import (
    CONFIG_FILE,
    GOLDEN_FOLDER,
    GRAPHS_FOLDER,
    QUANTIZED_FOLDER,
    WEIGHTS_FILE,
    Bundle,
    has_masks,
    open_bundle,
    read_golden_image,
)
from pipeline.bundle.golden import EXPECTED_FILE, EXPECTED_INT8_FILE, write_golden
from pipeline.bundle.golden_check import detect
from pipeline.bundle.manifest import Manifest, sha256_of
from pipeline.bundle.precision_measurement import measure_precisions
from pipeline.bundle.profiling import add_profile
from pipeline.bundle.validation import Validation, find_images
from pipeline.class_names import check_class_names
from pipeline.engines.base import Engine, EngineName
from pipeline.engines.files.checkpoint import State, open_checkpoint
from pipeline.engines.files.config_file import load_config_file, read_config_file
from pipeline.engines.openvino.convert import convert, taking_pixels
from pipeline.engines.openvino.graphs import Graphs, write_graphs
from pipeline.engines.openvino.runtime import is_installed, require_openvino
from pipeline.engines.portable.config import read_resize
from pipeline.engines.portable.engine import open_model
from pipeline.engines.portable.maskrcnn import MaskRCNN
from pipeline.engines.select import ModelFiles, open_engine
from pipeline.engines.torch_threads import one_torch_thread
from pipeline.errors import BundleError, UnreadableConfig, UnsupportedConfig
from pipeline.image.decode import decode
from pipeline.model_info import LabelTranslations, ModelInfo
from pipeline.predictor import LesionPredictor
from pipeline.schemas import Detection

Dtype = Literal["float32", "float16"]
Show = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """The files, names and options from which a bundle is packed.

    golden: images whose detections are recorded as golden cases. half: store the weights in
    float16. int8: add quantized layers. evaluation: measure the precisions, and choose one.
    validation: images of which a reference profile is stored. labels: translations of the class
    names. trust_pickle: open files that hold
    more than tensors. detectron2: the version that trained the model, if known.
    """

    weights: Path
    config: Path
    class_names: Sequence[str]
    name: str
    version: str
    golden: Sequence[Path] = ()
    half: bool = False
    int8: bool = False
    evaluation: Evaluation | None = None
    validation: Validation | None = None
    labels: LabelTranslations | None = None
    trust_pickle: bool = False
    detectron2: str | None = None


def pack(
    source: Source, target: Path, engine: EngineName = "auto", show: Show = lambda _: None
) -> Bundle:
    """Write a bundle into `target`, which must not exist; return it after its golden cases pass.

    The same source gives the same bytes on the same kind of processor, with the same versions; with
    an evaluation the manifest alone differs, by the times that were measured. Optimizer state and
    all other data of the training are dropped; the remarks of the manifest say what else is not
    used. `show` takes a line of progress. Raise ModelError, and then leave no file behind.
    """
    check_class_names(source.class_names)
    if target.exists():
        raise BundleError(f"{target.name} exists already; a bundle is never overwritten")
    try:
        # Write beside the target, on the same file system, so that the finished bundle can be moved
        # there in one step.
        with TemporaryDirectory(prefix=".pack-", dir=target.resolve().parent) as parent:
            draft = Path(parent) / "bundle"
            _write(source, draft, engine, show)
            draft.rename(target)
    except OSError as error:
        raise BundleError(f"cannot write {target.name}: {error.strerror}") from error
    return open_bundle(target)


def _write(source: Source, draft: Path, engine_name: EngineName, show: Show) -> None:
    (draft / GOLDEN_FOLDER).mkdir(parents=True)
    dtype, remarks = _write_model(source, draft)
    # Before what takes minutes, so that annotations which do not serve are refused at once.
    evaluation, validation = source.evaluation, source.validation
    annotated = None if evaluation is None else _annotated(source, evaluation, draft)
    validated = None if validation is None else _validated(source, validation, draft)
    _write_parts(source, draft, engine_name, dtype, remarks)
    if validation is not None:
        add_profile(open_bundle(draft), validation, validated, show)
    if evaluation is None or annotated is None:
        return
    bundle = open_bundle(draft)
    choice = measure_precisions(bundle, annotated, evaluation.max_loss, show)
    bundle.manifest.model_copy(update={"precision_choice": choice}).sealed().write(draft)


def _annotated(source: Source, evaluation: Evaluation, draft: Path) -> AnnotatedImages:
    """Return the annotated images, less those on which int8 is calibrated."""
    golden = [read_golden_image(path) for path in source.golden] if source.int8 else []
    return read_annotated_images(
        evaluation.annotations,
        evaluation.images,
        source.class_names,
        masks=has_masks(load_config_file(draft / CONFIG_FILE)),
        left_out={hashlib.sha256(image).hexdigest() for image in golden},
    )


def _validated(source: Source, validation: Validation, draft: Path) -> AnnotatedImages | None:
    """Return the annotated validation images; None for images without annotations."""
    if validation.annotations is None:
        find_images(validation.images)
        return None
    return read_annotated_images(
        validation.annotations,
        validation.images,
        source.class_names,
        masks=has_masks(load_config_file(draft / CONFIG_FILE)),
    )


def _write_parts(
    source: Source,
    draft: Path,
    engine_name: EngineName,
    dtype: Dtype,
    remarks: tuple[str, ...],
) -> None:
    """Write what is made of the weights and the configuration, and check that it reproduces."""
    files = ModelFiles(
        draft / CONFIG_FILE,
        draft / WEIGHTS_FILE,
        draft / GRAPHS_FOLDER,
        draft / QUANTIZED_FOLDER,
    )
    _write_graphs(source, files)
    engines = [_open_recorder(files, engine_name)]
    _record_golden(source, draft, engines[0])
    if files.graphs_for("float32") is not None:
        engines.append(open_engine(files, "openvino"))
    if source.int8:
        engines.append(open_engine(files, "openvino", "cpu", "int8", threads=1))
        _record_golden(source, draft, engines[-1])
    for engine in engines:
        remarks += engine.remarks
    _seal(source, draft, dtype, list(dict.fromkeys(remarks)))
    bundle = open_bundle(draft)
    for engine in engines:
        bundle.check_golden(engine)


def _write_graphs(source: Source, files: ModelFiles) -> None:
    """Write OpenVINO's graphs, where it is installed and the portable engine supports the model.

    Raise ModelError where int8 was asked for and cannot be written.
    """
    if source.int8:
        require_openvino("cpu")
    elif not is_installed():
        return
    try:
        model = open_model(files.config, files.weights)
    except UnsupportedConfig as refusal:
        if refusal.other_engine is None or source.int8:
            raise
        return  # Detectron2 may run it, without graphs
    assert files.graphs is not None
    write_graphs(taking_pixels(convert(model), model), files.graphs)
    if source.int8:
        assert files.quantized is not None
        write_graphs(_quantized(source, model, files.config), files.quantized)


def _quantized(source: Source, model: MaskRCNN, config: Path) -> Graphs:
    """Return the graphs in int8, calibrated on the golden images.

    Raise BundleError where there are no golden images.
    """
    # Imported here, so that only packing with int8 needs NNCF.
    from pipeline.bundle.quantization import quantize

    if not source.golden:
        raise BundleError("int8 is calibrated on the golden images, and none was given")
    resize = read_resize(load_config_file(config))
    return quantize(model, [resize(decode(path.read_bytes()).pixels) for path in source.golden])


def _open_recorder(files: ModelFiles, engine_name: EngineName) -> Engine:
    """Return the engine that records the golden cases, by default one that reads the checkpoint."""
    if engine_name == "openvino":
        return open_engine(files, engine_name, threads=1)
    return open_engine(ModelFiles(files.config, files.weights), engine_name)


def _write_model(source: Source, draft: Path) -> tuple[Dtype, tuple[str, ...]]:
    """Write weights and configuration; return the narrowest dtype of the weights, and remarks."""
    checkpoint = open_checkpoint(source.weights, trust_pickle=source.trust_pickle)
    state = halved(checkpoint.weights) if source.half else compact(checkpoint.weights)
    torch.save(state, draft / WEIGHTS_FILE)
    file = read_config_file(source.config)
    text = config_text(file.tree, source.config.name)
    (draft / CONFIG_FILE).write_text(text, encoding="utf-8")
    narrow = any(value.dtype in (torch.float16, torch.bfloat16) for value in state.values())
    return "float16" if narrow else "float32", file.remarks + checkpoint.remarks


def config_text(tree: dict[str, Any], name: str) -> str:
    """Return the YAML of a bundle's configuration.

    OUTPUT_DIR is left out: it is a path of the training machine, and would change the bytes of the
    bundle. Raise UnreadableConfig, which names the file.
    """
    model = tree.get("MODEL", {})
    if not isinstance(model, dict):
        raise UnreadableConfig(f"{name}: MODEL is not a mapping")
    packed = {key: value for key, value in tree.items() if key != "OUTPUT_DIR"}
    packed["MODEL"] = model | {"WEIGHTS": WEIGHTS_FILE}
    try:
        return str(yaml.safe_dump(packed, sort_keys=True))
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise UnreadableConfig(f"{name} holds more than plain values") from error


def compact(state: State) -> State:
    """Return the tensors as contiguous copies, so that no view keeps its whole base in the file."""
    return {key: value.detach().clone().contiguous() for key, value in sorted(state.items())}


def halved(state: State) -> State:
    """Return the tensors in float16, except integers and those with a value beyond float16."""

    def half(tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.is_floating_point():
            return tensor
        halved_tensor = tensor.half()
        return halved_tensor if bool(halved_tensor.isfinite().all()) else tensor

    return compact({key: half(tensor) for key, tensor in state.items()})


def _record_golden(source: Source, draft: Path, engine: Engine) -> None:
    """Record the engine's detections on the golden images, computed in one thread.

    Sums that several threads compute differ in their last digits, and with them the bytes. The
    threads of OpenVINO are chosen when the engine is opened.
    """
    with one_torch_thread():
        _record_cases(source, draft, engine)


def _record_cases(source: Source, draft: Path, engine: Engine) -> None:
    resize = read_resize(load_config_file(draft / CONFIG_FILE))
    info = ModelInfo(
        name=source.name,
        version=source.version,
        sha256=sha256_of(draft / WEIGHTS_FILE),
        bundle_sha256="",  # the manifest is written later
        engine=engine.name,
        precision=engine.precision,
    )
    predictor = LesionPredictor(engine, resize, source.class_names, info)
    cases: dict[str, list[Detection]] = {}
    for path in source.golden:
        if path.name in cases or path.name in (EXPECTED_FILE, EXPECTED_INT8_FILE):
            raise BundleError(f"another file of the bundle is named {path.name} already")
        cases[path.name] = detect(predictor, path.name, read_golden_image(path))
        shutil.copyfile(path, draft / GOLDEN_FOLDER / path.name)
    write_golden(draft / GOLDEN_FOLDER, cases, engine.precision)


def _seal(source: Source, draft: Path, dtype: Dtype, remarks: list[str]) -> None:
    files = sorted(path for path in draft.rglob("*") if path.is_file())
    Manifest(
        name=source.name,
        version=source.version,
        class_names=list(source.class_names),
        dtype=dtype,
        files={path.relative_to(draft).as_posix(): sha256_of(path) for path in files},
        python=python_version(),
        torch=metadata.version("torch"),
        openvino=metadata.version("openvino") if (draft / GRAPHS_FOLDER).exists() else None,
        detectron2=source.detectron2,
        remarks=remarks,
        labels=source.labels,
    ).sealed().write(draft)
