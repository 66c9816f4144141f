import json
from typing import get_args

import pytest
from pydantic import ValidationError

from gateway.reviews.feedback import Content, Feedback, Reason
from pipeline.image import gradability

ACCEPT = {"id": 0, "label": "HSIL", "verdict": "accept"}


@pytest.mark.parametrize(
    "body",
    [
        {"lesions": [ACCEPT]},
        {"lesions": [ACCEPT | {"verdict": "relabel", "new_label": "LSIL"}]},
        {"missed": []},
        {"missed": [{"label": "HSIL"}, {"label": "HSIL", "count": 3}]},
        {"missed": [{"label": "HSIL", "box": [1, 2, 3.5, 4]}]},
        {"missed": [{"label": "HSIL", "outline": [[0, 0, 9, 0, 9, 9], [20, 0, 29, 0, 29, 9]]}]},
        {"lesions": [ACCEPT | {"outline": [[0.0, 0.5, 9, 0, 9, 9]]}]},
        {"ungradable": {"reason": "out_of_focus"}},
        {"ungradable": None},
        {"comment": "no acetic acid\u00a0: « voir » 前"},
        {"comment": None, "version": 0},
        {"comment": "x" * 500},
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
        {"lesions": [ACCEPT | {"verdict": "reject", "outline": [[0, 0, 9, 0, 9, 9]]}]},
        {"lesions": [ACCEPT | {"outline": []}]},
        {"lesions": [ACCEPT | {"outline": [[0, 0, 9, 0]]}]},
        {"lesions": [ACCEPT | {"outline": [[0, 0, 9, 0, 9, 9, 3]]}]},
        {"lesions": [ACCEPT | {"outline": [[0, 0, 9, 0, 18, 0]]}]},
        {"lesions": [ACCEPT | {"outline": [[0, 0, 9, 0, 9, -1]]}]},
        {"lesions": [ACCEPT | {"outline": [[0, 0, 9, 0, 9, float("nan")]]}]},
        {"lesions": [ACCEPT | {"outline": [[0, 0, 0.001, 0, 0.001, 0.001]]}]},
        {"missed": [{"label": "HSIL", "box": [1, 2, 3, 4], "outline": [[0, 0, 9, 0, 9, 9]]}]},
        {"missed": [{"label": "HSIL", "count": 2, "outline": [[0, 0, 9, 0, 9, 9]]}]},
        {"version": 1},
        {"comment": "a", "version": -1},
        {"comment": ""},
        {"comment": " "},
        {"comment": "a\nb"},
        {"comment": "a\u202eb"},
        {"comment": "a\u2028b"},
        {"comment": "x" * 501},
        {"ungradable": {"reason": "bored"}},
        {"ungradable": {}},
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


def test_outline_has_bounded_points_in_all_rings_together():
    ring = [float(side) for point in range(5001) for side in (point, point % 2)]
    assert outline_of([ring])
    with pytest.raises(ValidationError, match="at most 10000 points"):
        outline_of([ring, ring])
    with pytest.raises(ValidationError):
        outline_of([ring[:6]] * 51)


def outline_of(rings: list[list[float]]) -> list[list[float]]:
    feedback = Feedback.model_validate({"lesions": [ACCEPT | {"outline": rings}]})
    assert feedback.lesions[0].outline is not None
    return feedback.lesions[0].outline


def test_outline_is_kept_in_hundredths_of_a_pixel():
    assert outline_of([[0.004, 1.006, 9, 0, 9, 9]]) == [[0.0, 1.01, 9.0, 0.0, 9.0, 9.0]]


def test_box_of_missed_lesion_follows_from_outline():
    missed = {"label": "HSIL", "outline": [[5, 6, 9, 6, 9, 8], [1, 2, 3, 2, 3, 20]]}
    (lesion,) = Feedback.model_validate({"missed": [missed]}).missed or ()
    assert lesion.bounds == (1, 2, 9, 20)


def test_reasons_are_those_of_answers_and_other():
    assert set(get_args(Reason)) == {*get_args(gradability.Reason), "other"}


def test_feedback_changes_what_it_names_and_leaves_the_rest():
    first = {"lesions": [ACCEPT], "missed": [{"label": "HSIL"}], "comment": "a"}
    said = Feedback.model_validate(first | {"ungradable": {"reason": "glare"}}).after(Content())
    later = {"lesions": [ACCEPT | {"id": 1}], "comment": None}
    now = Feedback.model_validate(later).after(said)
    assert [lesion.id for lesion in now.lesions] == [0, 1]
    assert (now.missed, now.ungradable, now.comment) == (said.missed, said.ungradable, None)
