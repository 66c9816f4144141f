"""Test that `pack` stores the reference profile, and that the bundle judges images by it."""

import dataclasses
from pathlib import Path

import pytest

from pipeline.bundle.bundle import Bundle, open_bundle
from pipeline.bundle.packing import Source, pack
from pipeline.bundle.profile import PROFILE_FILE, read_profile
from pipeline.bundle.validation import Validation, read_limits
from pipeline.errors import AnnotationError, BundleError
from pipeline.image.gradability import Limits
from pipeline.schemas import PredictOptions
from tests.annotated import write_annotated
from tests.fakes import png
from tests.models import write_model

GIVEN = {"luma_mean": Limits(low=0.3)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pack")


@pytest.fixture(scope="module")
def source(folder: Path) -> Source:
    config, weights = write_model(folder, **{"MODEL.ROI_HEADS.NUM_CLASSES": 1})
    image = folder / "golden.png"
    image.write_bytes(png(width=80, height=64))
    return Source(weights, config, ("LSIL",), "small", "1", golden=[image])


@pytest.fixture(scope="module")
def plain(source: Source, folder: Path) -> Bundle:
    return pack(source, folder / "plain")


@pytest.fixture(scope="module")
def annotations(plain: Bundle, folder: Path) -> Path:
    return write_annotated(folder / "annotated", plain, max_loss=0.01).annotations


def pack_profile(source: Source, target: Path, validation: Validation) -> Bundle:
    return pack(dataclasses.replace(source, validation=validation), target)


@pytest.fixture(scope="module")
def profiled(source: Source, annotations: Path, folder: Path) -> Bundle:
    validation = Validation(annotations.parent / "images", annotations, GIVEN)
    return pack_profile(source, folder / "profiled", validation)


def test_bundle_without_profile_has_no_limits(plain: Bundle):
    assert (plain.profile, plain.quality_limits) == (None, None)
    assert PROFILE_FILE not in plain.manifest.files


def test_profile_is_a_verified_file_of_the_bundle(profiled: Bundle):
    path = profiled.path / PROFILE_FILE
    assert read_profile(path) == open_bundle(profiled.path).profile
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"images":30', b'"images":31'))
    with pytest.raises(BundleError, match=r"profile\.json is damaged"):
        open_bundle(profiled.path)
    path.write_bytes(content)


def test_other_files_are_those_of_a_bundle_without_profile(plain: Bundle, profiled: Bundle):
    files = dict(profiled.manifest.files)
    del files[PROFILE_FILE]
    assert files == plain.manifest.files
    assert profiled.manifest.digest != plain.manifest.digest


def test_accuracy_on_own_answers_is_complete(profiled: Bundle):
    accuracy = profiled.profile.accuracy
    assert accuracy.box_ap == 1
    assert accuracy.mask_ap > 0.9  # boxes of one size may have each other's masks
    lsil = accuracy.classes["LSIL"]
    assert lsil.detections == lsil.annotations == lsil.recall.total > 0
    assert lsil.precision.value == lsil.recall.value == lsil.precision.high == 1
    assert lsil.precision.low < 1


@pytest.mark.parametrize(("level", "gradable"), [(120, True), (20, False)])
def test_answers_are_judged_by_the_limits_of_the_bundle(profiled: Bundle, level, gradable):
    predictor = profiled.predictor(profiled.load_engine("auto", "cpu"))
    quality = predictor(png(level=level), PredictOptions()).quality
    assert (quality.gradable, quality.withheld) == (gradable, False)
    assert quality.reasons == ([] if gradable else ["too_dark"])


def test_answers_hold_the_distance_from_the_validation_images(
    plain: Bundle, profiled: Bundle, annotations: Path
):
    assert len(profiled.profile.embedding.components) == 3  # of 30 images
    distances = profiled.profile.per_image["embedding"]["distance"]
    images = [path.read_bytes() for path in sorted((annotations.parent / "images").iterdir())]
    assert distances.count == len(images) == 30
    engine = profiled.load_engine("auto", "cpu", threads=1)
    own = [
        profiled.predictor(engine)(image, PredictOptions()).embedding_distance for image in images
    ]
    # As a reference has its own images; those in the profile are held out.
    assert sum(distance**2 for distance in own) / 30 == pytest.approx(2.9, abs=0.01)
    assert distances.quantile(1.0) > max(own)
    assert plain.predictor(engine)(images[0], PredictOptions()).embedding_distance is None


def test_folder_of_images_gives_profile_without_accuracy(
    source: Source, annotations: Path, tmp_path: Path
):
    images = annotations.parent  # with the images in a folder of its own, and a JSON file
    profiles = [
        pack_profile(source, tmp_path / str(turn), Validation(images)).profile for turn in range(2)
    ]
    assert profiles[0] == profiles[1]
    assert (profiles[0].images, profiles[0].accuracy) == (30, None)
    assert (profiles[0].limits, profiles[0].limits_source) == (None, "none: the images are too few")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (None, None, "holds no image file"),
        ("scan.jpg", b"no image", r"scan\.jpg: This is not an image"),
    ],
    ids=["empty folder", "no image"],
)
def test_unusable_validation_images_are_refused(
    source: Source, tmp_path: Path, name, content, message
):
    images = tmp_path / "images"
    images.mkdir()
    if name is not None:
        (images / name).write_bytes(content)
    with pytest.raises(BundleError, match=message):
        pack_profile(source, tmp_path / "bundle", Validation(images))
    assert not (tmp_path / "bundle").exists()


def test_annotations_of_other_classes_are_refused_before_model_runs(
    source: Source, annotations: Path, tmp_path: Path
):
    other = dataclasses.replace(source, class_names=("HSIL",))
    with pytest.raises(AnnotationError, match="no class of the model"):
        pack_profile(
            other, tmp_path / "bundle", Validation(annotations.parent / "images", annotations)
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("luma_mean: {low: 0.2}\nsharpness: {low: 0.003}", None),
        ('{"luma_mean": {"low": 0.2, "high": null}, "sharpness": {"low": 0.003}}', None),
        ("- luma_mean", "holds no limits of quality: "),
        ("luma: {low: 0.2}", "luma.low is no limit"),
        ("luma_mean: {low: .nan}", "finite number"),
        ("luma_mean: {low: [", "is not YAML"),
    ],
    ids=["yaml", "json", "list", "name", "nan", "syntax"],
)
def test_limits_are_read_from_a_file(tmp_path: Path, text: str, message: str | None):
    path = tmp_path / "limits.yaml"
    path.write_text(text)
    if message is None:
        assert read_limits(path) == {"luma_mean": Limits(low=0.2), "sharpness": Limits(low=0.003)}
    else:
        with pytest.raises(BundleError, match=message):
            read_limits(path)


def test_missing_file_of_limits_is_named(tmp_path: Path):
    with pytest.raises(BundleError, match=r"gone\.yaml cannot be read: No such file"):
        read_limits(tmp_path / "gone.yaml")
