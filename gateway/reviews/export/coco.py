"""Reviews as a COCO file of instances. Each image has the annotations of its latest review.

Keys that COCO does not have say whose the annotations are, and what was left out. Images that a
reviewer calls ungradable stand in a list of their own: among `images` they would be taught as
images without lesions.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from gateway.reviews.export.reviewed import Annotation, Review, ReviewedImage
from gateway.reviews.export.selection import Selection
from gateway.reviews.outlines import ring_area

_RULE = (
    "Each image has the annotations of its latest review. `reviews` lists all of them; "
    "`agreement` says whether they see the same number of lesions of each class."
)


def coco_text(selection: Selection, classes: Sequence[str]) -> str:
    """Return the file. Categories count from 1, in the order of the classes."""
    images = [(number, image) for number, image in enumerate(selection.images, 1)]
    gradable = [(number, image) for number, image in images if image.latest.ungradable is None]
    annotations = [
        _annotation(number, image.latest, annotation, classes)
        for number, image in gradable
        for annotation in image.latest.annotations
    ]
    document = {
        "info": {"description": "Feedback of clinicians on answers of lesionserve", "rule": _RULE},
        "licenses": [],
        "categories": [
            {"id": number, "name": label, "supercategory": "lesion"}
            for number, label in enumerate(classes, 1)
        ],
        "images": [_image(number, image) for number, image in gradable],
        "annotations": [{"id": i, **annotation} for i, annotation in enumerate(annotations, 1)],
        "ungradable_images": [
            _image(number, image) | {"ungradable": image.latest.ungradable}
            for number, image in images
            if image.latest.ungradable is not None
        ],
        "left_out": list(_left_out(selection)),
    }
    return json.dumps(document, indent=1)


def _image(number: int, image: ReviewedImage) -> dict[str, Any]:
    return {
        "id": number,
        "file_name": image.file_name,
        "width": image.width,
        "height": image.height,
        "sha256": image.sha256,
        "agreement": image.is_agreed,
        "reviews": [review_values(review) for review in image.reviews],
    }


def review_values(review: Review) -> dict[str, Any]:
    """Return who said it, when, of the answer of which model, and what it lacks."""
    return {
        "reviewer": review.reviewer,
        "version": review.version,
        "at": review.at.isoformat(),
        "request_id": str(review.request_id),
        "model": review.model,
        "bundle_sha256": review.bundle_sha256,
        "ungradable": review.ungradable,
        "lesions": len(review.annotations),
        "gaps": list(review.gaps),
    }


def _annotation(
    image: int, review: Review, annotation: Annotation, classes: Sequence[str]
) -> dict[str, Any]:
    x1, y1, x2, y2 = annotation.box
    outline = annotation.outline or []
    area = sum(map(ring_area, outline)) if outline else (x2 - x1) * (y2 - y1)
    return {
        "image_id": image,
        "category_id": 1 + classes.index(annotation.label),
        "bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
        "area": round(area, 2),
        "segmentation": outline,
        "iscrowd": 0,
        "origin": annotation.origin,
        "lesion": annotation.lesion,
        "reviewer": review.reviewer,
    }


def _left_out(selection: Selection) -> Iterator[dict[str, Any]]:
    for left_out in selection.left_out:
        yield {"sha256": left_out.sha256, "reasons": list(left_out.reasons)} | review_values(
            left_out.review
        )
