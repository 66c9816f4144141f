from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from gateway.betting import share_bounds
from gateway.reviews.precision import ALPHA
from tests.unit.gateway.reviews.records import accepted, answered, give, rejected

pytestmark = pytest.mark.django_db

ONE_EACH = {"LSIL": 1, "HSIL": 1, "carcinoma": 0}


def printed(*arguments: str) -> list[list[str]]:
    """Return the cells of each line."""
    out = StringIO()
    call_command("precision", *arguments, stdout=out)
    return [line.split("\t") for line in out.getvalue().splitlines()]


def test_command_prints_each_class_of_each_judged_model():
    give(answered(ONE_EACH, bundle_sha256="e" * 64), rejected(0))
    answered(bundle_sha256="f" * 64)  # not judged
    give(answered(ONE_EACH), accepted(0), accepted(1, "HSIL"))
    low, high = (f"{bound:.3f}" for bound in share_bounds(1, 0, ALPHA / 3))
    head, *lines = printed()
    assert head[0] == "MODEL"
    assert [line[0][0] + line[-1] for line in lines] == ["dHSIL", "dLSIL", "eLSIL"]
    assert lines[0][1:] == ["1.000", low, high, "unknown", "1", "1", "HSIL"]


def test_command_prints_organisation_alone():
    give(answered(ONE_EACH, organisation="elsewhere"), rejected(0))
    give(answered(ONE_EACH), accepted(0))
    (line,) = printed("--organisation", "a clinic")[1:]
    assert line[1] == "1.000"


def test_unknown_organisation_is_refused():
    with pytest.raises(CommandError, match="no organisation"):
        printed("--organisation", "nowhere")
