"""Reviews of answers on a few images, to export."""

import hashlib
from typing import Any

from gateway.audit.models import Record
from gateway.reviews.export.selection import Choice, Selection, select
from tests.unit.gateway.reviews.records import JANE, JOHN, answered, rejected, relabelled, say

SQUARE = [[10.0, 10.0, 20.0, 10.0, 20.0, 20.0, 10.0, 20.0]]
TRIANGLE = [[100.25, 50.0, 140.0, 50.0, 120.0, 90.5]]
TWO_RINGS = [SQUARE[0], [30.0, 10.0, 40.0, 10.0, 40.0, 20.0]]

ONE_EACH = {"LSIL": 1, "HSIL": 1, "carcinoma": 0}


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def record(name: str, counts: Any = None, **changes: Any) -> Record:
    """Return the record of an answer on the image file with this content."""
    values = {"image_sha256": digest(name), "model_name": "cervix", "model_version": "3"}
    return answered(ONE_EACH if counts is None else counts, **(values | changes))


def seen(number: int, label: str, outline: list[list[float]], **changes: Any) -> dict[str, Any]:
    values = {"id": number, "label": label, "verdict": "accept", "outline": outline}
    return values | changes


def review_two(row: Record, **changes: Any) -> None:
    """Judge both lesions of an answer, with their outlines."""
    lesions = [seen(0, "LSIL", SQUARE), relabelled(1, "HSIL", "carcinoma") | {"outline": TWO_RINGS}]
    say(row, **({"lesions": lesions, "missed": [], "comment": "Jane Doe"} | changes))


def reviewed_clinic() -> None:
    """Write reviews of images: with lesions, disputed, none, ungradable, and two with gaps."""
    review_two(record("lesions"), missed=[{"label": "HSIL", "outline": TRIANGLE}])
    disputed = record("disputed")
    review_two(disputed)
    lesions = [seen(0, "LSIL", TRIANGLE), rejected(1, "HSIL")]
    say(disputed, by=JOHN, lesions=lesions, missed=[])
    say(record("nothing", {"LSIL": 0, "HSIL": 0, "carcinoma": 0}), missed=[])
    say(record("a word", {"LSIL": 0, "HSIL": 0, "carcinoma": 0}), comment="fine")
    say(record("blurred"), ungradable={"reason": "out_of_focus"}, lesions=[rejected(0)])
    box = {"label": "HSIL", "box": [1.0, 2.0, 30.0, 40.0]}
    bare = {"id": 0, "label": "LSIL", "verdict": "accept"}
    say(record("gaps"), by=JANE, lesions=[bare], missed=[box, {"label": "HSIL", "count": 2}])


def selection(**choice: Any) -> Selection:
    return select(Choice(**choice))
