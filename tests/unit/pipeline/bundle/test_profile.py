import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.bundle.bundle import Bundle
from pipeline.bundle.manifest import read_manifest, sha256_of
from pipeline.bundle.profile import LEVELS, PROFILE_FILE, ReferenceProfile, read_profile
from pipeline.bundle.profiling import distribution, to_profile
from pipeline.errors import BundleError
from pipeline.image.gradability import Limits
from pipeline.schemas import Detection, Metrics, Prediction
from serve_app.paths import ROOT
from tests.integration.gateway.ingress import prediction
from tests.quality import statistics

CLASSES = ["LSIL", "HSIL"]


def answer(*scores: float, **quality: float) -> Prediction:
    """Return an answer of an image of 64x48 pixels with lesions of these scores."""
    values = prediction("id")
    (template,) = values["detections"]
    detections = [
        Detection.model_validate(template | {"id": i, "score": score})
        for i, score in enumerate(scores)
    ]
    measured = statistics(**quality).model_dump()
    assessed = {"statistics": measured, "gradable": None, "reasons": [], "withheld": False}
    return Prediction.model_validate(
        values
        | {"detections": detections, "metrics": Metrics.of(detections, CLASSES)}
        | {"quality": assessed}
    )


def profile(images: int = 120) -> ReferenceProfile:
    answers = [answer(*[0.9, 0.6, 0.7][: i % 4], luma_mean=i / images) for i in range(images)]
    embeddings = np.random.default_rng(0).normal(size=(images, 12)).astype(np.float32)
    return to_profile(answers, score_threshold=0.5, embeddings=list(embeddings))


def test_profile_holds_distributions_over_images_and_lesions():
    per_image, per_lesion = profile().per_image, profile().per_lesion
    groups = {"input", "quality", "detections", "scores", "classes", "areas", "embedding"}
    assert set(per_image) == groups
    assert per_image["input"]["aspect"].quantile(0.5) == 1.33333
    luma = per_image["quality"]["luma_mean"]
    assert (luma.count, luma.quantiles[0], luma.quantiles[-1]) == (120, 0, 0.991667)
    assert per_image["detections"]["count"].histogram.counts == [30, 30, 30, 30]
    assert per_image["classes"]["LSIL"].histogram.counts == [120]
    # Images without lesions have no highest score.
    assert per_image["scores"]["highest"].count == 90
    assert per_lesion["score"].count == 30 * (1 + 2 + 3)
    assert per_lesion["score"].histogram.counts[18] == 90
    assert per_lesion["box_share"].quantile(0.5) == pytest.approx(100 / (64 * 48), rel=1e-5)


def test_profile_of_images_without_lesions_has_empty_distributions():
    empty = to_profile([answer()] * 3, 0.5)
    assert empty.per_lesion["score"].count == 0
    assert empty.per_lesion["score"].quantiles == []
    assert empty.per_image["detections"]["count"].histogram.counts == [3]


def test_distances_are_those_from_the_other_images():
    reference = profile()
    assert len(reference.embedding.components) == 12
    distances = reference.per_image["embedding"]["distance"]
    assert distances.count == 120
    # In all twelve directions, those from a reference that holds them have a mean square of 11.9.
    assert np.mean(np.square(distances.quantiles)) > 13


def test_model_without_embeddings_has_no_distances():
    bare = to_profile([answer()] * 30, 0.5)
    assert (bare.embedding, bare.per_image["embedding"]) == (None, {})


def test_profile_of_an_older_version_is_read(tmp_path: Path):
    document = json.loads(profile().model_dump_json())
    del document["embedding"], document["per_image"]["embedding"], document["per_image"]["input"]
    (tmp_path / PROFILE_FILE).write_text(json.dumps(document | {"format": 1}))
    older = read_profile(tmp_path / PROFILE_FILE)
    assert (older.embedding, older.limits) == (None, profile().limits)


def test_limits_follow_from_images_unless_given():
    assert profile().limits["contrast"] == Limits(low=0.4)
    assert profile().limits_source.startswith("twice as far from the median")
    few = profile(images=12)
    assert (few.limits, few.limits_source) == (None, "none: the images are too few")
    given = {"contrast": Limits(low=0.1)}
    edited = to_profile([answer()] * 3, 0.5, given)
    assert (edited.limits, edited.limits_source) == (given, "given when the bundle was packed")


def test_profile_survives_its_file(tmp_path: Path):
    profile().write(tmp_path)
    assert read_profile(tmp_path / PROFILE_FILE) == profile()


def test_same_images_give_same_bytes(tmp_path: Path):
    contents = []
    for _ in range(2):
        profile().write(tmp_path)
        contents.append((tmp_path / PROFILE_FILE).read_bytes())
    assert contents[0] == contents[1]


def change(document: Any, *path: Any, value: Any) -> None:
    *parents, last = path
    for key in parents:
        document = document[key]
    document[last] = value


LUMA = ("per_image", "quality", "luma_mean")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("format",), 3, "format: Input should be 1 or 2"),
        (("format",), 1, "format 1 has no embedding"),
        (("embedding", "scales", 0), 0.0, "greater than 0"),
        (("embedding", "scales"), [1.0], "not one scale for each component"),
        (("embedding", "components", 3), [1.0], "not as long as the mean"),
        (("embedding", "int8_mean"), [1.0], "int8_mean is not as long"),
        (("images",), 0, "images: "),
        (("later",), 1, "later: Extra inputs"),
        ((*LUMA, "quantiles", 3), float("nan"), "finite number"),
        ((*LUMA, "quantiles", 3), 5.0, "the values do not rise"),
        ((*LUMA, "quantiles"), [0.0, 1.0], "101 quantiles are needed"),
        ((*LUMA, "count"), 0, "101 quantiles are needed"),
        (("per_lesion", "score", "histogram", "counts", 0), 1, "another number of values"),
        (("limits", "luma_mean"), {"low": 2, "high": 1}, "low is above high"),
        (("limits", "luma"), {"low": 2}, "luma.low is no limit"),
    ],
    ids=[
        "format",
        "older",
        "scale",
        "scales",
        "component",
        "int8",
        "images",
        "key",
        "nan",
        "order",
        "few",
        "count",
        "bins",
        "limits",
        "statistic",
    ],
)
def test_damaged_profile_is_refused(tmp_path: Path, path, value, message):
    document = json.loads(profile().model_dump_json())
    change(document, *path, value=value)
    (tmp_path / PROFILE_FILE).write_text(json.dumps(document))
    with pytest.raises(
        BundleError, match=r"profile\.json is none that this version reads"
    ) as error:
        read_profile(tmp_path / PROFILE_FILE)
    assert message in str(error.value)


def test_distribution_has_a_quantile_at_each_level():
    assert distribution(range(101)).quantiles == [float(i) for i in range(101)]
    assert len(LEVELS) == 101
    assert distribution([5.0]).quantiles == [5.0] * 101
    assert distribution([0.2, 1.0], [0, 0.5, 1]).histogram.counts == [1, 1]


def test_bundle_reads_profile_only_where_its_manifest_names_one(tmp_path: Path):
    demo = read_manifest(ROOT / "weights/demo")
    files = {name: digest for name, digest in demo.files.items() if name != PROFILE_FILE}
    bare = Bundle(tmp_path, demo.model_copy(update={"files": files}))
    profile().write(tmp_path)
    assert (bare.profile, bare.quality_limits) == (None, None)
    files[PROFILE_FILE] = sha256_of(tmp_path / PROFILE_FILE)
    bundle = Bundle(tmp_path, demo.model_copy(update={"files": files}))
    assert bundle.quality_limits == profile().limits
