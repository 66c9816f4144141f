"""The precision of the model in use, by class, from verdicts on its lesions.

Lesions of one image are alike, and so are the images of one case, so that each case is one value:
the share of its judged lesions of the class that were accepted. A rejected lesion, and one that is
of another class, was wrong. An answer counts for a class once all of its lesions of the class are
judged: else its value would follow the order in which they are judged, or which of them somebody
chose. The bounds are of the mean of these values (`share_bounds`), and hold at all times together,
however often one looks.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import QuerySet

from gateway.audit.models import Record, Source, State
from gateway.betting import share_bounds
from gateway.people.models import Organisation
from gateway.reviews import metrics
from gateway.reviews.models import Verdict
from gateway.reviews.reference import reference_precision

# The chance that the bounds of any class of a model ever miss its precision. It is shared among the
# classes, so that a model with twenty of them raises no more false alarms than one with two.
ALPHA = 0.01

# The model of most of the last answers is the one in use: a candidate answers fewer of them.
_LAST_ANSWERS = 200

_NAN = float("nan")

_CASE = (
    "record__organisation_id",
    "record__correlation_id",
    "record__image_sha256",
    "record__request_id",
)
_Case = tuple[int, str]

_shown: set[str] = set()  # the classes of which gauges were set


@dataclass(slots=True)
class _Counts:
    """The verdicts on lesions of one class, of one case or of one answer."""

    accepted: int = 0
    total: int = 0


@dataclass(slots=True)
class _Answer:
    """The verdicts on the lesions of one class in one answer, which has so many `lesions`."""

    case: _Case
    lesions: int
    judged: set[int] = field(default_factory=set)
    counts: _Counts = field(default_factory=_Counts)

    @property
    def is_judged(self) -> bool:
        """Return whether every lesion has a verdict."""
        return len(self.judged) >= self.lesions


@dataclass(frozen=True, slots=True)
class Precision:
    """The precision of one class in use, with bounds."""

    value: float
    low: float
    high: float
    cases: int
    verdicts: int

    @property
    def bounds(self) -> tuple[float, float]:
        return self.low, self.high


@dataclass(frozen=True, slots=True)
class AnsweringModel:
    """A model that answers: its bundle, and its classes."""

    bundle_sha256: str
    labels: frozenset[str]


def model_in_use() -> AnsweringModel | None:
    """Return the model of most of the last answers to clients, or None without any; blocking."""
    answers = Record.objects.filter(state=State.SUCCEEDED, source=Source.CLIENT)
    # An answer whose lesions were withheld names no classes.
    answers = answers.exclude(bundle_sha256="").exclude(detection_count=None)
    models = answers.order_by("-received_at").values_list("bundle_sha256", "class_counts")
    last = list(models[:_LAST_ANSWERS])
    if not last:
        return None
    [(digest, _)] = Counter(digest for digest, _ in last).most_common(1)
    return AnsweringModel(digest, frozenset(dict(last)[digest]))


def judged_models() -> list[AnsweringModel]:
    """Return the models with a verdict, the one of the latest answer first; blocking."""
    verdicts = Verdict.objects.filter(replaced_at=None, record__source=Source.CLIENT)
    models = verdicts.order_by("-record__received_at").values_list(
        "record__bundle_sha256", "record__class_counts"
    )
    labels: dict[str, frozenset[str]] = {}
    for digest, class_counts in models.iterator():
        labels.setdefault(digest, frozenset(class_counts))
    return [AnsweringModel(digest, of_model) for digest, of_model in labels.items()]


def precision_in_use(
    model: AnsweringModel, organisation: Organisation | None = None
) -> dict[str, Precision]:
    """Return the precision of each class with a verdict; blocking. By default of everybody's."""
    verdicts = Verdict.objects.filter(
        replaced_at=None,
        record__bundle_sha256=model.bundle_sha256,
        record__source=Source.CLIENT,
    )
    if organisation is not None:
        verdicts = verdicts.filter(record__organisation=organisation)
    cases: dict[str, dict[_Case, _Counts]] = defaultdict(lambda: defaultdict(_Counts))
    for label, answer in _answers(verdicts):
        if answer.is_judged:
            counts = cases[label][answer.case]
            counts.total += answer.counts.total
            counts.accepted += answer.counts.accepted
    alpha = ALPHA / max(1, len(model.labels))
    return {label: _precision(of_label.values(), alpha) for label, of_label in cases.items()}


def _answers(verdicts: QuerySet[Verdict]) -> Iterator[tuple[str, _Answer]]:
    """Yield each answer with a verdict, once for each class of which it has one."""
    answers: dict[tuple[str, UUID], _Answer] = {}
    rows = verdicts.values_list("label", "kind", "lesion", "record__class_counts", *_CASE)
    for label, kind, lesion, class_counts, *case in rows.iterator():
        request_id = case[-1]
        answer = answers.get((label, request_id))
        if answer is None:
            answer = _Answer(_case_of(*case), class_counts.get(label, 0))
            answers[label, request_id] = answer
        answer.judged.add(lesion)
        answer.counts.total += 1
        answer.counts.accepted += kind == Verdict.Kind.ACCEPT
    for (label, _), answer in answers.items():
        yield label, answer


def refresh_precision(
    reference: Callable[[str], Mapping[str, float] | None] = reference_precision,
) -> None:
    """Set the gauges of the model in use; blocking. Those of a model before it become NaN."""
    model = model_in_use()
    references: Mapping[str, float] = {}
    precisions: dict[str, Precision] = {}
    if model is not None:
        precisions = precision_in_use(model)
        references = reference(model.bundle_sha256) or {}
    for label, precision in precisions.items():
        _show(label, precision, references.get(label, _NAN))
    for label in _shown - precisions.keys():
        _show(label, Precision(_NAN, _NAN, _NAN, 0, 0), _NAN)
    _shown.update(precisions)


def _case_of(organisation: int, correlation_id: str, image: str, request_id: UUID) -> _Case:
    """Return what is the same for the images of one case.

    It is the client's own id of the case. Without one, each image is a case; an image that was sent
    twice is the same.
    """
    return organisation, correlation_id or image or str(request_id)


def _precision(cases: Collection[_Counts], alpha: float) -> Precision:
    accepted = sum(counts.accepted / counts.total for counts in cases)
    low, high = share_bounds(accepted, len(cases) - accepted, alpha)
    verdicts = sum(counts.total for counts in cases)
    return Precision(accepted / len(cases), low, high, len(cases), verdicts)


def _show(label: str, precision: Precision, reference: float) -> None:
    for gauge, value in (
        (metrics.VALUE, precision.value),
        (metrics.LOW, precision.low),
        (metrics.HIGH, precision.high),
        (metrics.CASES, precision.cases),
        (metrics.VERDICTS, precision.verdicts),
        (metrics.REFERENCE, reference),
    ):
        gauge.labels(label).set(value)
