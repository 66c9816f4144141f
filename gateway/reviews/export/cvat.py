"""Reviews as "CVAT for images 1.1". Each image has the shapes of its latest review.

An image that is called ungradable has the tag `ungradable`. The rings of one lesion share a group.
"""

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring  # nosec B405, only written

from gateway.reviews.export.reviewed import Annotation, Review, ReviewedImage
from gateway.reviews.export.selection import Selection
from gateway.reviews.outlines import points_of

# The attributes of each label. A project without them ignores them.
_ATTRIBUTES = ("origin", "reviewer", "reason")
_UNGRADABLE = "ungradable"


def cvat_text(selection: Selection, classes: Sequence[str]) -> str:
    """Return the file."""
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    labels = SubElement(SubElement(SubElement(root, "meta"), "task"), "labels")
    for name in (*classes, _UNGRADABLE):
        _add_label(labels, name)
    for number, image in enumerate(selection.images):
        _add_image(root, number, image)
    indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(root, encoding="unicode")}\n'


def _add_label(labels: Element, name: str) -> None:
    label = SubElement(labels, "label")
    SubElement(label, "name").text = name
    attributes = SubElement(label, "attributes")
    for attribute_name in _ATTRIBUTES:
        attribute = SubElement(attributes, "attribute")
        for key, value in (("name", attribute_name), ("mutable", "False"), ("input_type", "text")):
            SubElement(attribute, key).text = value
        SubElement(attribute, "default_value")
        SubElement(attribute, "values")


def _add_image(root: Element, number: int, image: ReviewedImage) -> None:
    review = image.latest
    element = SubElement(
        root,
        "image",
        id=str(number),
        name=image.file_name,
        width=str(image.width),
        height=str(image.height),
    )
    if review.ungradable is not None:
        tag = SubElement(element, "tag", label=_UNGRADABLE, source="manual")
        _add_attributes(tag, reason=review.ungradable, reviewer=review.reviewer)
    for group, annotation in enumerate(review.annotations, 1):
        _add_shapes(element, group, annotation, review)


def _add_shapes(image: Element, group: int, annotation: Annotation, review: Review) -> None:
    shape = {
        "label": annotation.label,
        "source": "manual",
        "occluded": "0",
        "z_order": "0",
        "group_id": str(group),
    }
    if annotation.outline is None:
        corners = zip(("xtl", "ytl", "xbr", "ybr"), annotation.box, strict=True)
        box = SubElement(image, "box", shape | {name: f"{side:.2f}" for name, side in corners})
        _add_attributes(box, origin=annotation.origin, reviewer=review.reviewer)
        return
    for ring in annotation.outline:
        points = ";".join(f"{x:.2f},{y:.2f}" for x, y in points_of(ring))
        polygon = SubElement(image, "polygon", shape | {"points": points})
        _add_attributes(polygon, origin=annotation.origin, reviewer=review.reviewer)


def _add_attributes(element: Element, **values: str) -> None:
    for name, value in values.items():
        SubElement(element, "attribute", name=name).text = value
