"""What each author says about an answer now, read from the rows."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db.models import Exists, OuterRef, QuerySet

from gateway.audit.models import Record, Source, State
from gateway.reviews.feedback import Content, LesionVerdict, MissedLesions, in_order
from gateway.reviews.models import Missed, Verdict, Version

_NEVER = datetime.min.replace(tzinfo=UTC)

# The primary key of a record and the author.
_Key = tuple[int, str]


@dataclass(slots=True)
class Standing:
    """What one author says about an answer now.

    version: the number of its latest version, 0 where all of it is older than versions are. at:
    when the latest of it was said.
    """

    author: str
    version: int = 0
    content: Content = field(default_factory=Content)
    at: datetime = _NEVER
    verdict_at: dict[int, datetime] = field(default_factory=dict)
    missed_at: datetime | None = None


def reviewed_records() -> QuerySet[Record]:
    """Return the answered requests of which somebody says something now."""
    of_record = {"record": OuterRef("pk")}
    given = (
        Exists(Version.objects.filter(**of_record))
        | Exists(Verdict.objects.filter(**of_record, replaced_at=None))
        | Exists(Missed.objects.filter(**of_record, replaced_at=None))
    )
    return Record.objects.filter(given, state=State.SUCCEEDED, source=Source.CLIENT)


def standings_of(record: Record) -> list[Standing]:
    """Return what each author says, by the authors' names; blocking."""
    return standings_by_record([record])[record.pk]


def standings_by_record(records: Sequence[Record]) -> dict[int, list[Standing]]:
    """Return what each author says of each record, by its primary key; blocking."""
    of_records = {"record__in": [record.pk for record in records]}
    versions: dict[_Key, Version] = {}
    for version in Version.objects.filter(**of_records).order_by("number"):
        versions[version.record_id, version.author] = version
    verdicts: dict[_Key, list[Verdict]] = defaultdict(list)
    for verdict in Verdict.objects.filter(**of_records, replaced_at=None).order_by("lesion"):
        verdicts[verdict.record_id, verdict.author].append(verdict)
    missed: dict[_Key, list[Missed]] = defaultdict(list)
    for row in Missed.objects.filter(**of_records, replaced_at=None).order_by("pk"):
        missed[row.record_id, row.author].append(row)
    standings: dict[int, list[Standing]] = {record.pk: [] for record in records}
    for key in sorted(versions.keys() | verdicts.keys() | missed.keys()):
        pk, author = key
        standings[pk].append(_standing(author, versions.get(key), verdicts[key], missed[key]))
    return standings


def standing_of(record: Record, author: str) -> Standing:
    """Return what the author says, of whom there may be nothing yet; blocking."""
    by_author = {standing.author: standing for standing in standings_of(record)}
    return by_author.get(author, Standing(author))


def _standing(
    author: str, version: Version | None, verdicts: Sequence[Verdict], missed: Sequence[Missed]
) -> Standing:
    """Return what the rows say, with what only the version holds: outlines, and the rest.

    A gateway of before there were versions writes rows alone.
    """
    given = Content() if version is None else Content.model_validate_json(version.content)
    content = Content(
        lesions=_lesions(given.lesions, verdicts),
        missed=_missed_lesions(given.missed, missed),
        ungradable=given.ungradable,
        comment=given.comment,
    )
    times = [row.at for row in (*verdicts, *missed)]
    if version is not None:
        times.append(version.at)
    return Standing(
        author,
        0 if version is None else version.number,
        content,
        max(times),
        {row.lesion: row.at for row in verdicts},
        missed[0].at if missed else None,
    )


def _lesions(given: Iterable[LesionVerdict], rows: Iterable[Verdict]) -> list[LesionVerdict]:
    known = {verdict_values(lesion): lesion for lesion in given}
    return [
        known.get(
            (row.lesion, row.label, row.kind, row.new_label),
            LesionVerdict(
                id=row.lesion,
                label=row.label,
                verdict=row.kind,  # type: ignore[arg-type]  # checked by the model
                new_label=row.new_label or None,
            ),
        )
        for row in rows
    ]


def _missed_lesions(
    given: Sequence[MissedLesions] | None, rows: Sequence[Missed]
) -> list[MissedLesions] | None:
    """Return what the rows say, or None where the author said nothing of missed lesions."""
    if given is None and not rows:
        return None
    known: dict[tuple[str, int, str], list[MissedLesions]] = defaultdict(list)
    for missed in given or ():
        known[missed_values(missed)].append(missed)
    lesions = [
        known[key].pop(0)
        if known[key := (row.label, row.count, repr(row.box))]
        else MissedLesions(label=row.label, count=row.count, box=row.box)
        for row in rows
    ]
    return in_order(lesions)


def verdict_values(lesion: LesionVerdict) -> tuple[int, str, str, str]:
    """Return what a row holds of a verdict: lesion, label, verdict and new label."""
    return lesion.id, lesion.label, lesion.verdict, lesion.new_label or ""


def missed_values(missed: MissedLesions) -> tuple[str, int, str]:
    """Return what a row holds of missed lesions: label, count and the box as text."""
    return missed.label, missed.count, repr(row_box(missed))


def row_box(missed: MissedLesions) -> list[float] | None:
    """Return the box of a row: that of the lesion, or of its outline."""
    return None if missed.bounds is None else list(missed.bounds)
