"""Reviews as tasks of Label Studio: an annotation for each reviewer, so that all can be compared.

A lesion in parts is a region for each of its rings. Points are percentages of the image's sides.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, get_args
from xml.etree.ElementTree import Element, SubElement, indent, tostring  # nosec B405, only written

from gateway.reviews.export.coco import review_values
from gateway.reviews.export.reviewed import Annotation, Review, ReviewedImage
from gateway.reviews.export.selection import Selection
from gateway.reviews.feedback import Reason
from gateway.reviews.outlines import points_of


def label_studio_text(selection: Selection, classes: Sequence[str]) -> str:
    """Return the tasks as JSON, for the import of a project that is set up with `config_of`."""
    return json.dumps([_task(image) for image in selection.images], indent=1)


def config_of(classes: Sequence[str]) -> str:
    """Return the labelling configuration of a project for these tasks, as XML."""
    view = Element("View")
    SubElement(view, "Image", name="image", value="$image")
    for tag, name in (("PolygonLabels", "lesion"), ("RectangleLabels", "box")):
        labels = SubElement(view, tag, name=name, toName="image")
        for label in classes:
            SubElement(labels, "Label", value=label)
    choices = SubElement(view, "Choices", name="ungradable", toName="image", choice="single")
    for reason in get_args(Reason):
        SubElement(choices, "Choice", value=reason)
    indent(view)
    return tostring(view, encoding="unicode")


def _task(image: ReviewedImage) -> dict[str, Any]:
    """Return the task of an image; its data lists the reviews in the order of the annotations."""
    return {
        "data": {
            "image": image.file_name,
            "sha256": image.sha256,
            "agreement": image.is_agreed,
            "reviews": [review_values(review) for review in image.reviews],
        },
        "annotations": [
            {"result": list(_regions(image, review)), "was_cancelled": False}
            for review in image.reviews
        ],
    }


def _regions(image: ReviewedImage, review: Review) -> Iterator[dict[str, Any]]:
    of_image = {
        "to_name": "image",
        "original_width": image.width,
        "original_height": image.height,
        "image_rotation": 0,
        "meta": {"text": [review.reviewer]},
    }
    if review.ungradable is not None:
        value = {"choices": [review.ungradable]}
        yield of_image | {
            "id": "ungradable",
            "from_name": "ungradable",
            "type": "choices",
            "value": value,
        }
    for number, annotation in enumerate(review.annotations):
        for part, region in enumerate(_values(image, annotation)):
            yield of_image | {"id": f"{number}-{part}"} | region


def _values(image: ReviewedImage, annotation: Annotation) -> Iterator[dict[str, Any]]:
    """Yield a polygon for each ring of a lesion, or its rectangle."""
    value: dict[str, Any]
    if annotation.outline is None:
        x1, y1, x2, y2 = annotation.box
        x, y = _percent(image, x1, y1)
        width, height = _percent(image, x2 - x1, y2 - y1)
        value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0}
        labels = {"rectanglelabels": [annotation.label]}
        yield {"from_name": "box", "type": "rectanglelabels", "value": value | labels}
        return
    for ring in annotation.outline:
        points = [_percent(image, x, y) for x, y in points_of(ring)]
        value = {"points": points, "closed": True, "polygonlabels": [annotation.label]}
        yield {"from_name": "lesion", "type": "polygonlabels", "value": value}


def _percent(image: ReviewedImage, x: float, y: float) -> list[float]:
    return [100 * x / image.width, 100 * y / image.height]
