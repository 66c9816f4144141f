import json

import pytest
from pydantic import ValidationError

from gateway.reviews.feedback import Feedback

ACCEPT = {"id": 0, "label": "HSIL", "verdict": "accept"}


@pytest.mark.parametrize(
    "body",
    [
        {"lesions": [ACCEPT]},
        {"lesions": [ACCEPT | {"verdict": "relabel", "new_label": "LSIL"}]},
        {"missed": []},
        {"missed": [{"label": "HSIL"}, {"label": "HSIL", "count": 3}]},
        {"missed": [{"label": "HSIL", "box": [1, 2, 3.5, 4]}]},
    ],
    ids=str,
)
def test_feedback_is_read(body):
    assert Feedback.model_validate(body)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"lesions": []},
        {"lesions": [ACCEPT, ACCEPT]},
        {"lesions": [ACCEPT | {"id": "0"}]},
        {"lesions": [ACCEPT | {"id": -1}]},
        {"lesions": [ACCEPT | {"id": 1000}]},
        {"lesions": [ACCEPT | {"verdict": "maybe"}]},
        {"lesions": [ACCEPT | {"label": "a\nb"}]},
        {"lesions": [ACCEPT | {"label": ""}]},
        {"lesions": [ACCEPT | {"new_label": "LSIL"}]},
        {"lesions": [ACCEPT | {"verdict": "relabel"}]},
        {"lesions": [ACCEPT | {"verdict": "relabel", "new_label": "HSIL"}]},
        {"lesions": [ACCEPT | {"comment": "Jane Doe"}]},
        {"missed": [{"label": "HSIL", "count": 0}]},
        {"missed": [{"label": "HSIL", "count": 101}]},
        {"missed": [{"label": "HSIL", "count": 2, "box": [1, 2, 3, 4]}]},
        {"missed": [{"label": "HSIL", "box": [1, 2, 3]}]},
        {"missed": [{"label": "HSIL", "box": [3, 2, 1, 4]}]},
        {"missed": [{"label": "HSIL", "box": [-1, 2, 3, 4]}]},
        {"missed": [{"label": "HSIL", "box": [1, 2, 3, float("inf")]}]},
    ],
    ids=json.dumps,
)
def test_malformed_feedback_is_refused(body):
    with pytest.raises(ValidationError):
        Feedback.model_validate(body)
