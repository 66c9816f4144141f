import math

import numpy as np
import pytest
from prometheus_client import REGISTRY

from gateway.audit.models import Record, Source
from gateway.betting import share_bounds
from gateway.reviews.precision import (
    ALPHA,
    AnsweringModel,
    Precision,
    model_in_use,
    precision_in_use,
    refresh_precision,
)
from tests.clinics import organisation_named
from tests.unit.gateway.reviews import records
from tests.unit.gateway.reviews.records import (
    BUNDLE,
    JOHN,
    accepted,
    give,
    rejected,
    relabelled,
)

pytestmark = pytest.mark.django_db

MODEL = AnsweringModel(BUNDLE, frozenset({"LSIL", "HSIL", "carcinoma"}))


def answered(counts: dict[str, int] | None = None, **changes: object) -> Record:
    """Return the record of an answer; by default with a lesion of two classes each."""
    classes = {"LSIL": 1, "HSIL": 1, "carcinoma": 0} if counts is None else counts
    return records.answered(classes, **changes)


def precision_of(label: str = "LSIL") -> Precision:
    return precision_in_use(MODEL)[label]


def gauge(name: str, label: str = "LSIL") -> float | None:
    return REGISTRY.get_sample_value(f"lesionserve_gateway_precision{name}", {"label": label})


def judged(cases: int, right: int) -> None:
    for number in range(cases):
        give(answered(), accepted(0) if number < right else rejected(0))


def test_relabelled_and_rejected_lesions_were_wrong():
    give(answered(), accepted(0))
    give(answered(), rejected(0))
    give(answered(), relabelled(0))
    give(answered(), accepted(0, "HSIL"))
    assert (precision_of().value, precision_of().cases) == (pytest.approx(1 / 3), 3)
    assert precision_of("HSIL").value == 1
    assert "carcinoma" not in precision_in_use(MODEL)


def test_missed_lesions_are_not_in_precision():
    give(answered(), missed=[{"label": "LSIL", "count": 5}])
    assert precision_in_use(MODEL) == {}


def test_image_is_one_value_however_many_lesions_it_has():
    give(answered(), accepted(0))
    give(answered({"LSIL": 3}), rejected(0), rejected(1), accepted(2))
    of_class = precision_of()
    assert of_class.value == pytest.approx((1 + 1 / 3) / 2)
    assert (of_class.cases, of_class.verdicts) == (2, 4)


def test_answer_counts_once_all_of_its_lesions_of_the_class_are_judged():
    partly = answered({"LSIL": 3, "HSIL": 1})
    give(partly, rejected(0), accepted(3, "HSIL"))
    assert set(precision_in_use(MODEL)) == {"HSIL"}
    give(partly, accepted(1), by=JOHN)
    assert "LSIL" not in precision_in_use(MODEL)
    give(partly, accepted(2))
    assert precision_of().value == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "changes",
    [{"correlation_id": "case-7"}, {"image_sha256": "a" * 64}],
    ids=["correlation id", "same image"],
)
def test_images_of_one_case_are_one_value(changes):
    for _ in range(3):
        give(answered(**changes), rejected(0))
    give(answered(), accepted(0))
    assert (precision_of().value, precision_of().cases) == (0.5, 2)


def test_cases_of_two_organisations_are_two():
    for organisation in ("a clinic", "elsewhere"):
        give(answered(organisation=organisation, correlation_id="case-7"), accepted(0))
    assert precision_of().cases == 2
    ours = precision_in_use(MODEL, organisation_named("a clinic"))
    assert ours["LSIL"].cases == 1


def test_only_verdicts_that_hold_count_of_each_person():
    record = answered()
    give(record, accepted(0))
    give(record, rejected(0))
    give(record, accepted(0), by=JOHN)
    assert (precision_of().value, precision_of().verdicts) == (0.5, 2)


def test_verdicts_on_other_models_do_not_count():
    give(answered(bundle_sha256="e" * 64), rejected(0))
    assert precision_in_use(MODEL) == {}


def test_bounds_are_a_confidence_sequence_shared_among_classes():
    judged(10, right=6)
    assert (precision_of().low, precision_of().high) == share_bounds(6, 4, ALPHA / 3)


def test_many_lesions_of_few_images_prove_little():
    """Ten wrong lesions on one image are one wrong case, not ten."""
    give(answered({"LSIL": 10}), *(rejected(number) for number in range(10)))
    alone = precision_in_use(AnsweringModel(BUNDLE, frozenset({"LSIL"})))["LSIL"]
    assert alone.high > 0.99


def test_bounds_of_clustered_lesions_miss_as_rarely_as_stated():
    """Images whose lesions are right or wrong together, looked at again and again."""
    alpha, precision, streams, cases = 0.05, 0.7, 300, 200
    generator = np.random.default_rng(7)
    missed = naive = 0
    for _ in range(streams):
        right = generator.beta(0.7, 0.3, cases)  # of the lesions of each image
        lesions = generator.integers(1, 9, cases)
        shares = generator.binomial(lesions, right) / lesions
        looks = range(5, cases + 1, 5)
        sums = np.cumsum(shares)
        missed += any(
            share_bounds(sums[n - 1], n - sums[n - 1], alpha)[1] < precision for n in looks
        )
        found = np.cumsum(shares * lesions)
        total = np.cumsum(lesions)
        naive += any(
            share_bounds(found[n - 1], total[n - 1] - found[n - 1], alpha)[1] < precision
            for n in looks
        )
    assert missed / streams <= alpha
    assert naive / streams > 2 * alpha  # lesions taken for independent


def test_model_in_use_is_that_of_most_last_answers():
    assert model_in_use() is None
    answered(bundle_sha256="e" * 64)
    for _ in range(2):
        answered()
    answered(bundle_sha256="f" * 64, source=Source.PROBE)
    answered({}, bundle_sha256="f" * 64, detection_count=None)
    assert model_in_use() == MODEL


def test_gauges_show_model_in_use_and_forget_it_with_another():
    judged(4, right=3)
    refresh_precision(lambda digest: {"LSIL": 0.8} if digest == BUNDLE else None)
    assert (gauge(""), gauge("_cases"), gauge("_verdicts")) == (0.75, 4, 4)
    assert gauge("_reference") == 0.8
    assert (gauge("_low"), gauge("_high")) == (precision_of().low, precision_of().high)
    Record.objects.update(bundle_sha256="e" * 64)
    answered(bundle_sha256="f" * 64)
    Record.objects.filter(bundle_sha256="e" * 64).delete()
    refresh_precision(lambda _: {"LSIL": 0.8})
    assert all(math.isnan(gauge(name) or 0) for name in ("", "_low", "_high", "_reference"))
    assert gauge("_cases") == 0


def test_reference_is_unknown_without_profile():
    judged(1, right=1)
    refresh_precision(lambda _: None)
    assert math.isnan(gauge("_reference") or 0)


def test_precision_below_reference_is_found_and_a_sound_one_is_not():
    judged(120, right=60)
    assert precision_of().high < 0.75
    Record.objects.all().delete()
    judged(120, right=96)
    assert precision_of().high > 0.75
