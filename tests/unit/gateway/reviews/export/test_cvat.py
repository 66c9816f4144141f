from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest

from gateway.reviews.export.cvat import cvat_text
from tests.unit.gateway.reviews.export.reviews import digest, reviewed_clinic, selection

pytestmark = pytest.mark.django_db

CLASSES = ("LSIL", "HSIL", "carcinoma")


def image(name: str, **choice: Any) -> Element:
    root = fromstring(cvat_text(selection(**choice), CLASSES))
    return next(image for image in root.iterfind("image") if image.get("name") == digest(name))


def attributes(element: Element) -> dict[str | None, str | None]:
    return {each.get("name"): each.text for each in element.iterfind("attribute")}


def test_rings_of_a_lesion_are_polygons_of_one_group():
    reviewed_clinic()
    element = image("lesions")
    assert (element.get("width"), element.get("height")) == ("640", "480")
    polygons = element.findall("polygon")
    assert [(each.get("label"), each.get("group_id")) for each in polygons] == [
        ("LSIL", "1"),
        ("carcinoma", "2"),
        ("carcinoma", "2"),
        ("HSIL", "3"),
    ]
    assert polygons[3].get("points") == "100.25,50.00;140.00,50.00;120.00,90.50"
    assert attributes(polygons[1]) == {"origin": "relabel", "reviewer": "user:jane"}


def test_image_has_shapes_of_latest_review():
    reviewed_clinic()
    (polygon,) = image("disputed").findall("polygon")
    assert attributes(polygon)["reviewer"] == "user:john"


def test_ungradable_image_has_a_tag_with_the_reason():
    reviewed_clinic()
    (tag,) = image("blurred")
    assert (tag.tag, tag.get("label")) == ("tag", "ungradable")
    assert attributes(tag) == {"reason": "out_of_focus", "reviewer": "user:jane"}


def test_box_alone_is_a_box():
    reviewed_clinic()
    (box,) = image("gaps", incomplete=True).findall("box")
    assert [box.get(side) for side in ("xtl", "ytl", "xbr", "ybr")] == [
        "1.00",
        "2.00",
        "30.00",
        "40.00",
    ]


def test_labels_of_the_task_are_classes_and_ungradable():
    root = fromstring(cvat_text(selection(), CLASSES))
    names = [label.findtext("name") for label in root.iterfind("meta/task/labels/label")]
    assert names == [*CLASSES, "ungradable"]
