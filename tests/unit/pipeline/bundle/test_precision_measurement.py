from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.bundle.annotated_images import AnnotatedImages, CocoImage
from pipeline.bundle.average_precision import evaluate, samples
from pipeline.bundle.coco_rle import polygons_to_rle
from pipeline.bundle.golden_check import GoldenCheck
from pipeline.bundle.precision_choice import MeasuredPrecision
from pipeline.bundle.precision_measurement import accuracies, measure_precisions, processor_name
from pipeline.engines.base import Engine
from pipeline.errors import AnnotationError, BundleError, EngineUnavailable
from tests.fakes import MANIFEST, FakeBundle, FakeEngine, png

WIDTH, HEIGHT, IMAGES = 40, 20, 12
LEFT_HALF = [0, 0, WIDTH / 2, HEIGHT]


class PrecisionBundle(FakeBundle):
    """A fake bundle whose engine finds the left half of each image, less in int8."""

    config: dict[str, Any] = {"MODEL": {"MASK_ON": True}}
    unavailable: tuple[str, ...] = ()
    unreproducible: tuple[str, ...] = ()

    def load_engine(
        self, engine="auto", device="auto", precision="float32", threads=None
    ) -> Engine:
        assert (engine, device) == ("auto", "cpu")
        if precision in self.unavailable:
            raise EngineUnavailable(f"no engine runs {precision}")
        loaded = FakeEngine()
        loaded.precision = precision
        if precision == "int8":
            loaded.weights[0] = 0.4
        return loaded

    def golden_check(self, engine: Engine) -> GoldenCheck:
        if engine.precision in self.unreproducible:
            raise BundleError("golden case a.png: the HSIL was not found again")
        return GoldenCheck((), self.predictor(engine), 0.5)


@pytest.fixture
def bundle(tmp_path: Path) -> PrecisionBundle:
    (tmp_path / "int8").mkdir()
    return PrecisionBundle(tmp_path, MANIFEST)


def annotated(folder: Path, width: int = WIDTH, box: tuple[float, ...] = ()) -> AnnotatedImages:
    """Return images, of which the last two have no annotation; in the others the left half has."""
    x, y, w, h = box or LEFT_HALF
    mask = polygons_to_rle([[x, y, x + w, y, x + w, y + h, x, y + h]], (HEIGHT, width))
    for number in range(IMAGES):
        (folder / f"{number}.png").write_bytes(png(width=WIDTH, height=HEIGHT))
    return AnnotatedImages(
        folder,
        [CocoImage(id=i, file_name=f"{i}.png", width=width, height=HEIGHT) for i in range(IMAGES)],
        {
            "images": [{"id": i, "width": width, "height": HEIGHT} for i in range(IMAGES)],
            "categories": [{"id": 0}, {"id": 1}],
            "annotations": [
                {"image_id": i, "category_id": 1, "bbox": [x, y, w, h], "segmentation": mask}
                for i in range(IMAGES - 2)
            ],
        },
        count=IMAGES - 2,
        left_out=0,
        sha256="0" * 64,
    )


def by_precision(measured: list[MeasuredPrecision]) -> dict[str, MeasuredPrecision]:
    return {item.precision: item for item in measured}


def test_choice_holds_figures_of_each_precision(bundle, tmp_path):
    lines: list[str] = []
    choice = measure_precisions(bundle, annotated(tmp_path), 0.01, lines.append)
    measured = by_precision(choice.measured)
    assert list(measured) == ["float32", "bfloat16", "int8"]
    assert measured["float32"].rejected is None
    for kind in ("box", "mask"):
        exact, same, lossy = (getattr(item, kind) for item in choice.measured)
        assert exact.ap == same.ap > 0.8  # two of twelve images hold a lesion too many
        assert (same.loss, same.loss_high) == (0, 0)
        assert lossy.loss == pytest.approx(exact.ap - lossy.ap, abs=2e-4)
        assert 0 < lossy.loss_low <= lossy.loss <= lossy.loss_high
    assert measured["bfloat16"].within_loss
    assert not measured["int8"].within_loss
    assert "box AP loses" in (measured["int8"].rejected or "")
    assert choice.chosen != "int8"
    assert (choice.images, choice.annotations, choice.threads > 0) == (12, 10, True)
    assert choice.processor == processor_name()
    assert f"image {IMAGES} of {IMAGES}" in lines[-2]


def test_times_are_of_each_image_in_turn(bundle, tmp_path):
    choice = measure_precisions(bundle, annotated(tmp_path), 0.01)
    for item in choice.measured:
        assert item.ms is not None
        assert 0 < item.ms.low <= item.ms.median <= item.ms.high
    exact = choice.measured[0].relative_time
    assert exact is not None
    assert (exact.low, exact.median, exact.high) == (1, 1, 1)


def test_precision_that_does_not_reproduce_is_rejected_with_reason(tmp_path):
    class Other(PrecisionBundle):
        unreproducible = ("bfloat16",)

    (tmp_path / "int8").mkdir()
    choice = measure_precisions(Other(tmp_path, MANIFEST), annotated(tmp_path), 0.01)
    assert [item.precision for item in choice.measured] == ["float32", "bfloat16", "int8"]
    failed = by_precision(choice.measured)["bfloat16"]
    assert failed.rejected == "golden case a.png: the HSIL was not found again"
    assert failed.box is None
    assert choice.chosen == "float32"


@pytest.mark.parametrize("fault", ["unavailable", "unreproducible"])
def test_float32_that_does_not_run_is_an_error(tmp_path, fault):
    class Broken(PrecisionBundle):
        pass

    setattr(Broken, fault, ("float32",))
    with pytest.raises((EngineUnavailable, BundleError)):
        measure_precisions(Broken(tmp_path, MANIFEST), annotated(tmp_path), 0.01)


def test_bundle_that_runs_in_float32_alone_gets_float32(tmp_path):
    class Exact(PrecisionBundle):
        unavailable = ("bfloat16",)

    choice = measure_precisions(Exact(tmp_path, MANIFEST), annotated(tmp_path), 0.01)
    assert choice.chosen == "float32"
    assert [item.rejected for item in choice.measured] == [None, "no engine runs bfloat16"]


def test_model_without_masks_is_measured_by_boxes(tmp_path):
    class Boxes(PrecisionBundle):
        config = {"MODEL": {}}

    choice = measure_precisions(Boxes(tmp_path, MANIFEST), annotated(tmp_path), 0.01)
    assert [item.mask for item in choice.measured] == [None, None]


def test_refuses_images_on_which_float32_finds_nothing(bundle, tmp_path):
    elsewhere = annotated(tmp_path, box=(30, 0, 10, 20))
    with pytest.raises(AnnotationError, match=r"box AP of float32 on these images is 0\.0000"):
        measure_precisions(bundle, elsewhere, 0.01)


def test_refuses_annotations_of_another_size(bundle, tmp_path):
    with pytest.raises(AnnotationError, match=r"0\.png has 40x20 pixels .* are for 60x20"):
        measure_precisions(bundle, annotated(tmp_path, width=60), 0.01)


def test_refuses_image_that_is_none(bundle, tmp_path):
    images = annotated(tmp_path)
    (tmp_path / "3.png").write_bytes(b"no image")
    with pytest.raises(AnnotationError, match=r"3\.png: "):
        measure_precisions(bundle, images, 0.01)


def test_interval_is_of_losses_in_the_same_samples(tmp_path):
    document = annotated(tmp_path).document
    perfect = [item | {"score": 0.9} for item in document["annotations"]]
    evaluations = [
        evaluate(document, found, "bbox") for found in (perfect, perfect, perfect[:-1], [])
    ]
    exact, same, one_lost, all_lost = accuracies(evaluations, samples(IMAGES))
    assert (exact.ap, exact.loss, exact.loss_low, exact.loss_high) == (1, 0, 0, 0)
    assert same == exact
    assert one_lost.loss_low == 0 < one_lost.loss < one_lost.loss_high < 0.5
    assert (all_lost.ap, all_lost.loss_low, all_lost.loss_high) == (0, 1, 1)
    np.testing.assert_allclose(one_lost.loss, 1 - one_lost.ap, atol=1e-4)
