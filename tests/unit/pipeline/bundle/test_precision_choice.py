import pytest

from pipeline.bundle.manifest import read_manifest
from pipeline.bundle.precision_choice import (
    Accuracy,
    MeasuredPrecision,
    PrecisionChoice,
    Quartiles,
    choose,
    judge,
)
from pipeline.engines.base import Precision
from pipeline.errors import BundleError
from tests.fakes import MANIFEST

NO_LOSS = Accuracy(ap=0.7, loss=0, loss_low=0, loss_high=0)


def loses(loss: float, high: float) -> Accuracy:
    return Accuracy(ap=0.7 - loss, loss=loss, loss_low=2 * loss - high, loss_high=high)


def measured(
    precision: Precision,
    time: float = 1.0,
    box: Accuracy = NO_LOSS,
    mask: Accuracy | None = NO_LOSS,
    slowest: float | None = None,
) -> MeasuredPrecision:
    times = Quartiles(low=time, median=time, high=slowest or time)
    return MeasuredPrecision(
        precision=precision, engine="openvino", box=box, mask=mask, ms=times, relative_time=times
    )


FLOAT32 = measured("float32")


def chosen(*others: MeasuredPrecision, max_loss: float = 0.01) -> Precision:
    return choose([judge(item, max_loss) for item in (FLOAT32, *others)])


def test_fastest_precision_within_loss_is_chosen() -> None:
    assert chosen(measured("bfloat16", 0.6), measured("int8", 0.4)) == "int8"
    assert chosen(measured("bfloat16", 0.4), measured("int8", 0.6)) == "bfloat16"


@pytest.mark.parametrize("kind", ["box", "mask"])
@pytest.mark.parametrize(
    ("accuracy", "precision"),
    [
        (loses(0.02, 0.03), "bfloat16"),
        (loses(0.005, 0.0101), "bfloat16"),  # the images are too few to say so
        (loses(0.005, 0.01), "int8"),
        (loses(-0.02, 0.001), "int8"),
    ],
    ids=["lossy", "uncertain", "at the limit", "better"],
)
def test_precision_is_chosen_by_upper_end_of_loss(
    kind: str, accuracy: Accuracy, precision: Precision
) -> None:
    int8 = measured("int8", 0.4).model_copy(update={kind: accuracy})
    assert chosen(measured("bfloat16", 0.6), int8) == precision


def test_loss_above_its_interval_is_refused_as_well() -> None:
    odd = Accuracy(ap=0.6, loss=0.1, loss_low=0, loss_high=0.005)
    assert chosen(measured("bfloat16", 0.6, box=odd)) == "float32"


def test_float32_is_chosen_where_every_other_loses_too_much() -> None:
    lossy = loses(0.02, 0.03)
    others = [measured("bfloat16", 0.6, box=lossy), measured("int8", 0.4, mask=lossy)]
    assert chosen(*others) == "float32"
    reasons = [judge(item, 0.01).rejected for item in others]
    assert reasons == [
        "box AP loses 0.0200, and up to 0.0300 by chance",
        "mask AP loses 0.0200, and up to 0.0300 by chance",
    ]


def test_tie_goes_to_higher_precision() -> None:
    assert chosen(measured("bfloat16", 0.5), measured("int8", 0.5)) == "bfloat16"
    assert chosen(measured("bfloat16", 1.0)) == "float32"


def test_precision_that_is_faster_by_chance_is_not_chosen() -> None:
    noisy = measured("bfloat16", 0.9, slowest=1.1)
    assert chosen(noisy) == "float32"
    assert judge(noisy, 0.01).within_loss
    assert "not faster" in (judge(noisy, 0.01).rejected or "")


def test_precision_that_failed_stays_rejected_with_its_reason() -> None:
    failed = MeasuredPrecision(precision="bfloat16", engine="openvino", rejected="golden case a")
    assert chosen(failed) == "float32"
    assert judge(failed, 0.01) == failed


def test_model_without_masks_is_judged_by_its_boxes() -> None:
    assert chosen(measured("int8", 0.4, mask=None)) == "int8"


def make_choice(precision: Precision = "int8") -> PrecisionChoice:
    return PrecisionChoice(
        chosen=precision,
        max_loss=0.01,
        images=40,
        annotations=80,
        left_out=1,
        annotations_sha256="0" * 64,
        processor="a processor",
        threads=2,
        measured=[FLOAT32, judge(measured("int8", 0.4), 0.01)],
    )


def test_choice_is_part_of_manifest_and_of_its_digest(tmp_path) -> None:
    manifest = MANIFEST.model_copy(update={"precision_choice": make_choice()}).sealed()
    manifest.write(tmp_path)
    assert read_manifest(tmp_path) == manifest
    assert manifest.precision_of("auto") == "int8"
    assert manifest.precision_of("bfloat16") == "bfloat16"
    path = tmp_path / "manifest.json"
    path.write_text(path.read_text().replace('"chosen": "int8"', '"chosen": "float32"'))
    with pytest.raises(BundleError, match="was changed"):
        read_manifest(tmp_path)


def test_manifest_without_choice_keeps_its_bytes_and_refuses_auto(tmp_path) -> None:
    MANIFEST.write(tmp_path)
    assert "precision_choice" not in (tmp_path / "manifest.json").read_text()
    manifest = read_manifest(tmp_path)
    assert manifest.precision_of("float32") == "float32"
    with pytest.raises(BundleError, match="pack it again with --accuracy"):
        manifest.precision_of("auto")
