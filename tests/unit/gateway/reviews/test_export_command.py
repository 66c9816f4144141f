import json
from io import StringIO
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from django.core.management import CommandError, call_command

from gateway.audit.models import Event
from tests.clinics import organisation_named
from tests.unit.gateway.reviews.export.reviews import digest, record, review_two, reviewed_clinic

pytestmark = pytest.mark.django_db


def export(path: Path, *options: object) -> tuple[str, str]:
    """Return what the command writes to stdout and to stderr."""
    out, errors = StringIO(), StringIO()
    arguments = ("--output", path, *options)
    call_command("export_feedback", *map(str, arguments), stdout=out, stderr=errors)
    return out.getvalue(), errors.getvalue()


def test_export_is_written_said_and_an_event(tmp_path):
    reviewed_clinic()
    path = tmp_path / "coco.json"
    out, errors = export(path, "--format", "coco", "--organisation", "a clinic")
    assert out == ""
    lines = errors.splitlines()
    assert lines[0] == "4 images, 1 of them with reviewers who disagree"
    assert [line.partition(":")[0] for line in lines[1:]] == ["left out"] * 2
    assert "by user:jane: without a verdict: 1 lesion; " in lines[2]
    assert len(json.loads(path.read_text())["images"]) == 3
    (event,) = Event.objects.filter(action="feedback.exported")
    assert event.subject == "coco since None of None: 4 images"
    assert (event.actor, event.organisation) == ("command", organisation_named("a clinic"))


def test_classes_are_in_the_order_that_is_asked_for(tmp_path):
    reviewed_clinic()
    export(tmp_path / "a.json", "--format", "coco")
    export(tmp_path / "b.json", "--format", "coco", "--classes", "LSIL,HSIL,carcinoma,other")
    names = [
        [category["name"] for category in json.loads((tmp_path / name).read_text())["categories"]]
        for name in ("a.json", "b.json")
    ]
    assert names == [["HSIL", "LSIL", "carcinoma"], ["LSIL", "HSIL", "carcinoma", "other"]]


def test_class_that_list_lacks_is_named(tmp_path):
    reviewed_clinic()
    with pytest.raises(CommandError, match="--classes lacks 'HSIL', 'carcinoma'"):
        export(tmp_path / "a.json", "--format", "coco", "--classes", "LSIL")
    assert not (tmp_path / "a.json").exists()
    assert not Event.objects.filter(action="feedback.exported").exists()


def test_label_studio_gets_its_configuration(tmp_path):
    reviewed_clinic()
    out, _ = export(tmp_path / "a.json", "--format", "label-studio", "--prefix", "/data/")
    assert fromstring(out).find("PolygonLabels") is not None
    images = [task["data"]["image"] for task in json.loads((tmp_path / "a.json").read_text())]
    assert f"/data/{digest('lesions')}" in images


def test_images_are_named_as_the_hospitals_own(tmp_path):
    reviewed_clinic()
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "case 7.jpg").write_bytes(b"lesions")
    export(tmp_path / "a.xml", "--format", "cvat", "--images", folder)
    (image,) = fromstring((tmp_path / "a.xml").read_text()).findall("image")
    assert image.get("name") == "case 7.jpg"


def test_reviews_since_a_day_and_of_a_reviewer(tmp_path):
    reviewed_clinic()
    _, errors = export(tmp_path / "a.json", "--format", "coco", "--reviewer", "user:john")
    assert errors.startswith("1 image, 0 ")
    _, errors = export(tmp_path / "b.json", "--format", "coco", "--since", "2999-01-01")
    assert errors.startswith("0 images, 0 ")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--organisation", "nowhere"], "no organisation"),
        (["--images", "/nowhere"], "/nowhere is no folder"),
    ],
)
def test_wrong_option_is_refused(tmp_path, options, reason):
    with pytest.raises(CommandError, match=reason):
        export(tmp_path / "a.json", "--format", "coco", *options)


def test_file_that_exists_is_not_overwritten(tmp_path):
    review_two(record("a"))
    path = tmp_path / "a.json"
    path.write_text("mine")
    with pytest.raises(CommandError, match="exists; name a new file"):
        export(path, "--format", "coco")
    assert path.read_text() == "mine"
    with pytest.raises(CommandError, match="cannot be written"):
        export(tmp_path / "gone" / "a.json", "--format", "coco")
