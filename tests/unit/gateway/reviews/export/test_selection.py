from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.audit.models import Source
from gateway.reviews.export.selection import Choice, files_by_digest, select
from gateway.reviews.models import Version
from tests.clinics import organisation_named
from tests.unit.gateway.reviews.export.reviews import (
    SQUARE,
    digest,
    record,
    review_two,
    reviewed_clinic,
    seen,
    selection,
)
from tests.unit.gateway.reviews.records import JOHN, accepted, say

pytestmark = pytest.mark.django_db

CLINIC = ("lesions", "disputed", "nothing", "blurred")


def names(images: object) -> list[str]:
    """Return the names of the images of the clinic."""
    by_digest = {digest(name): name for name in CLINIC}
    return [by_digest[image.sha256] for image in images]  # type: ignore[attr-defined]


def test_complete_reviews_are_chosen_and_others_left_out_with_reasons():
    reviewed_clinic()
    chosen = selection()
    assert sorted(names(chosen.images)) == sorted(CLINIC)
    assert chosen.labels == {"LSIL", "HSIL", "carcinoma"}
    assert {left_out.sha256: left_out.reasons for left_out in chosen.left_out} == {
        digest("a word"): ("it does not say whether lesions were missed",),
        digest("gaps"): (
            "without a verdict: 1 lesion",
            "a verdict alone, without an outline: 1 lesion",
            "a box alone: 1 missed lesion",
            "without a place: 2 missed lesions",
        ),
    }


def test_incomplete_reviews_are_chosen_where_they_are_asked_for():
    reviewed_clinic()
    chosen = selection(incomplete=True)
    assert len(chosen.images) == 6
    assert chosen.left_out == ()


def test_lesions_are_those_that_reviewer_says_are_there():
    reviewed_clinic()
    image = next(image for image in selection().images if image.sha256 == digest("lesions"))
    assert [(each.label, each.origin, each.lesion) for each in image.latest.annotations] == [
        ("LSIL", "accept", 0),
        ("carcinoma", "relabel", 1),
        ("HSIL", "missed", None),
    ]
    assert image.latest.annotations[2].box == (100.25, 50.0, 140.0, 90.5)


def test_ungradable_image_has_no_lesions():
    reviewed_clinic()
    image = next(image for image in selection().images if image.sha256 == digest("blurred"))
    assert (image.latest.ungradable, image.latest.annotations) == ("out_of_focus", ())


def test_reviewers_who_disagree_stay_visible_and_latest_counts():
    reviewed_clinic()
    image = next(image for image in selection().images if image.sha256 == digest("disputed"))
    assert [review.reviewer for review in image.reviews] == ["user:jane", "user:john"]
    assert image.latest.reviewer == "user:john"
    assert not image.is_agreed
    others = [image for image in selection().images if image.sha256 != digest("disputed")]
    assert all(image.is_agreed for image in others)
    (image,) = selection(reviewer="user:john").images
    assert [review.reviewer for review in image.reviews] == ["user:john"]


def test_answers_on_same_file_are_one_image():
    for _ in range(2):
        review_two(record("same"))
    (image,) = selection().images
    assert len({review.request_id for review in image.reviews}) == 2


def test_reviews_are_chosen_by_organisation_and_time():
    review_two(record("here"))
    review_two(record("there", organisation="elsewhere"))
    (image,) = selection(organisation=organisation_named("elsewhere")).images
    assert image.sha256 == digest("there")
    now = datetime.now(UTC)
    assert len(selection(since=now - timedelta(hours=1)).images) == 2
    assert selection(since=now + timedelta(hours=1)).images == ()


def test_answer_without_digest_is_left_out():
    review_two(record("public", image_sha256=""))
    chosen = selection(incomplete=True)
    assert chosen.images == ()
    assert chosen.left_out[0].reasons == ("the record holds no digest of the image",)


def test_probes_and_answers_without_feedback_are_no_reviews():
    record("nobody")
    row = record("probe")
    review_two(row)
    type(row).objects.filter(pk=row.pk).update(source=Source.PROBE)
    assert selection() == select(Choice())
    assert (selection().images, selection().left_out) == ((), ())


def test_verdicts_without_version_are_left_out():
    row = record("old")
    say(row, lesions=[accepted(0), accepted(1, "HSIL")])
    Version.objects.all().delete()
    (left_out,) = selection().left_out
    assert left_out.reasons == (
        "a verdict alone, without an outline: 2 lesions",
        "it does not say whether lesions were missed",
    )
    assert left_out.review.version == 0


def test_own_files_name_images_and_others_are_left_out(tmp_path: Path):
    reviewed_clinic()
    (tmp_path / "visit 1").mkdir()
    for name in ("visit 1/b.jpg", "visit 1/a.jpg"):
        (tmp_path / name).write_bytes(b"lesions")
    (tmp_path / "other.jpg").write_bytes(b"other")
    files = files_by_digest(tmp_path)
    assert files[digest("lesions")] == "visit 1/a.jpg"
    chosen = selection(files=files, prefix="/data/")
    assert [image.file_name for image in chosen.images] == ["/data/visit 1/a.jpg"]
    reasons = [left_out.reasons[0] for left_out in chosen.left_out]
    assert reasons == ["no file in the folder of images has this digest"] * 6


def test_lesion_with_outline_of_one_reviewer_and_none_of_another(tmp_path: Path):
    row = record("both", {"LSIL": 1, "HSIL": 0})
    say(row, lesions=[seen(0, "LSIL", SQUARE)], missed=[])
    say(row, lesions=[accepted(0)], missed=[], by=JOHN)
    chosen = selection()
    assert chosen.images[0].latest.reviewer == "user:jane"
    assert chosen.left_out[0].review.reviewer == "user:john"
