"""Test that `pack` chooses a precision on annotated images, and that `auto` is the chosen one."""

import dataclasses
import json
from pathlib import Path

import pytest

from pipeline.bundle.bundle import Bundle, open_bundle
from pipeline.bundle.packing import Source, pack
from pipeline.bundle.precision_choice import PrecisionChoice
from pipeline.engines import select
from pipeline.engines.base import Precision
from pipeline.errors import AnnotationError, BundleError, EngineUnavailable
from tests.annotated import write_annotated
from tests.fakes import png
from tests.models import write_model


def write_source(folder: Path) -> Source:
    config, weights = write_model(folder, **{"MODEL.ROI_HEADS.NUM_CLASSES": 1})
    image = folder / "golden.png"
    image.write_bytes(png(width=80, height=64))
    return Source(weights, config, ("LSIL",), "small", "1", golden=[image], int8=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pack")


@pytest.fixture(scope="module")
def source(folder: Path) -> Source:
    return write_source(folder)


@pytest.fixture(scope="module")
def plain(source: Source, folder: Path) -> Bundle:
    return pack(source, folder / "plain")


@pytest.fixture(scope="module")
def measured(source: Source, plain: Bundle, folder: Path) -> Bundle:
    evaluation = write_annotated(folder / "annotated", plain, max_loss=0.01)
    return pack(dataclasses.replace(source, evaluation=evaluation), folder / "measured")


def with_choice(bundle: Bundle, **changes: object) -> Bundle:
    choice = bundle.manifest.precision_choice
    assert choice is not None
    manifest = bundle.manifest.model_copy(
        update={"precision_choice": choice.model_copy(update=changes)}
    )
    return Bundle(bundle.path, manifest)


def choice_of(bundle: Bundle) -> PrecisionChoice:
    assert bundle.manifest.precision_choice is not None
    return bundle.manifest.precision_choice


def test_pack_measures_each_precision(measured: Bundle) -> None:
    choice = choice_of(measured)
    assert [item.precision for item in choice.measured] == ["float32", "bfloat16", "int8"]
    exact = choice.measured[0]
    assert exact.box is not None
    assert exact.mask is not None
    assert exact.box.ap == 1  # its own answers are the annotations
    assert exact.mask.ap > 0.9  # some of its masks have no pixel
    assert {item.engine for item in choice.measured} == {"openvino"}
    chosen = next(item for item in choice.measured if item.precision == choice.chosen)
    assert chosen.within_loss
    assert chosen.rejected is None


def test_choice_changes_nothing_but_the_manifest(measured: Bundle, plain: Bundle) -> None:
    assert measured.manifest.files == plain.manifest.files
    fields = json.loads((measured.path / "manifest.json").read_text())
    del fields["precision_choice"], fields["digest"]
    others = json.loads((plain.path / "manifest.json").read_text())
    del others["digest"]
    assert fields == others


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_auto_is_the_chosen_precision(measured: Bundle, precision: Precision) -> None:
    chosen = with_choice(measured, chosen=precision)
    engine = chosen.load_engine(device="cpu", precision="auto")
    assert (engine.name, engine.precision) == ("openvino", precision)
    assert chosen.predictor(engine).info.precision == precision


def test_packed_choice_reproduces_its_golden_cases(measured: Bundle) -> None:
    opened = open_bundle(measured.path)
    engine = opened.load_engine(device="cpu", precision="auto")
    assert engine.precision == choice_of(opened).chosen
    assert opened.check_golden(engine) == 1


def test_auto_is_refused_without_choice(plain: Bundle) -> None:
    with pytest.raises(BundleError, match="small 1 has none: pack it again with --accuracy"):
        plain.load_engine(device="cpu", precision="auto")


def test_auto_is_refused_on_gpu(measured: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = with_choice(measured, chosen="int8")
    with pytest.raises(EngineUnavailable, match="'int8' in this bundle, as measured on a CPU"):
        chosen.load_engine(device="cuda", precision="auto")
    monkeypatch.setattr(select, "_has_gpu", lambda: True)
    with pytest.raises(EngineUnavailable, match="on a GPU name the precision"):
        chosen.load_engine(precision="auto")
    assert chosen.load_engine("openvino", precision="auto").precision == "int8"


@pytest.mark.parametrize(
    ("precision", "reason"),
    [
        ("int8", "precision 'auto' is 'int8' in this bundle: precision 'int8' runs on a CPU"),
        ("bfloat16", "as measured with the openvino engine, and this is the portable engine"),
    ],
)
def test_auto_is_refused_in_another_engine(
    measured: Bundle, precision: Precision, reason: str
) -> None:
    chosen = with_choice(measured, chosen=precision)
    with pytest.raises(EngineUnavailable, match=reason):
        chosen.load_engine("portable", "cpu", "auto")


def test_golden_images_are_left_out_where_int8_is_calibrated_on_them(
    source: Source, plain: Bundle, tmp_path: Path
) -> None:
    evaluation = write_annotated(tmp_path / "annotated", plain, max_loss=0.01)
    golden = [evaluation.images / "0.png", evaluation.images / "1.png"]
    wanted = dataclasses.replace(source, golden=golden, evaluation=evaluation)
    with pytest.raises(AnnotationError, match="28 annotated images cannot tell"):
        pack(wanted, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_annotations_of_other_classes_leave_no_bundle(
    source: Source, plain: Bundle, tmp_path: Path
) -> None:
    evaluation = write_annotated(tmp_path / "annotated", plain, max_loss=0.01)
    other = dataclasses.replace(source, class_names=("CIN1",), evaluation=evaluation)
    with pytest.raises(AnnotationError, match="the category 'LSIL' is no class of the model"):
        pack(other, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
