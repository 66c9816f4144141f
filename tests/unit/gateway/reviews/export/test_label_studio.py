import json
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest

from gateway.reviews.export.label_studio import config_of, label_studio_text
from tests.unit.gateway.reviews.export.reviews import digest, reviewed_clinic, selection

pytestmark = pytest.mark.django_db

CLASSES = ("LSIL", "HSIL", "carcinoma")


def task(name: str, **choice: Any) -> dict[str, Any]:
    tasks = json.loads(label_studio_text(selection(**choice), CLASSES))
    return next(task for task in tasks if task["data"]["sha256"] == digest(name))


def test_each_reviewer_has_an_annotation():
    reviewed_clinic()
    disputed = task("disputed")
    jane, john = (annotation["result"] for annotation in disputed["annotations"])
    assert [review["reviewer"] for review in disputed["data"]["reviews"]] == [
        "user:jane",
        "user:john",
    ]
    assert disputed["data"]["agreement"] is False
    # One square, and a lesion in two rings.
    assert [region["value"]["polygonlabels"] for region in jane] == [
        ["LSIL"],
        ["carcinoma"],
        ["carcinoma"],
    ]
    assert len({region["id"] for region in jane}) == 3
    (region,) = john
    assert region["value"]["points"][0] == [100 * 100.25 / 640, 100 * 50 / 480]
    assert region["meta"] == {"text": ["user:john"]}


def test_image_without_lesions_has_an_empty_annotation():
    reviewed_clinic()
    assert task("nothing")["annotations"] == [{"result": [], "was_cancelled": False}]


def test_ungradable_image_has_its_reason_as_choice():
    reviewed_clinic()
    ((region,),) = (annotation["result"] for annotation in task("blurred")["annotations"])
    assert (region["type"], region["value"]) == ("choices", {"choices": ["out_of_focus"]})


def test_box_alone_is_a_rectangle():
    reviewed_clinic()
    ((region,),) = (
        annotation["result"] for annotation in task("gaps", incomplete=True)["annotations"]
    )
    value = region["value"]
    assert (region["type"], value["rectanglelabels"]) == ("rectanglelabels", ["HSIL"])
    assert (value["x"], value["height"]) == (100 / 640, 100 * 38 / 480)


def test_configuration_has_every_class_and_reason():
    view = fromstring(config_of(["a & b", "<c>"]))
    assert [label.get("value") for label in view.iterfind("PolygonLabels/Label")] == [
        "a & b",
        "<c>",
    ]
    assert {"glare", "other"} < {choice.get("value") for choice in view.iterfind("Choices/Choice")}
