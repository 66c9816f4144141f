"""The parts of a report that say what people said."""

from collections.abc import Iterator, Sequence

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from gateway.reviews.feedback import Content, MissedLesions
from gateway.reviews.report import words
from gateway.reviews.report.section import Section
from gateway.reviews.report.words import Labels
from gateway.reviews.standing import Standing


def review_sections(
    standings: Sequence[Standing], labels: Labels, count: int | None
) -> Iterator[Section]:
    """Yield a section for each author, or the one that says that there is none.

    count: of the lesions of the answer, None where none were looked for.
    """
    if not standings:
        yield Section(heading=_("Review"), lines=[_("Nobody has judged these findings.")])
    for standing in standings:
        yield Section(
            heading=_("Review by %(author)s") % {"author": words.author(standing.author)},
            lines=list(_lines(standing, labels, count)),
            head=[_("Lesion"), _("Class of the model"), _("Verdict"), _("Class of the reviewer")],
            rows=_rows(standing, labels),
        )


def _lines(standing: Standing, labels: Labels, count: int | None) -> Iterator[str]:
    at = {"version": standing.version, "time": words.time(standing.at)}
    yield _("Version %(version)d, %(time)s.") % at
    content = standing.content
    if content.ungradable is not None:
        yield _("The image cannot be judged.")
        yield words.reason(content.ungradable.reason)
    if count is not None:
        yield from _completeness(content, count)
    for missed in content.missed or ():
        yield _missed(missed, labels)
    if content.comment is not None:
        yield _("Comment: %(comment)s") % {"comment": content.comment}


def _completeness(content: Content, count: int) -> Iterator[str]:
    """Yield what the author did not say, and that no lesion was missed."""
    if unjudged := count - len(content.lesions):
        sentence = ngettext(
            "%(count)d of %(total)d lesions is not judged.",
            "%(count)d of %(total)d lesions are not judged.",
            unjudged,
        )
        yield sentence % {"count": unjudged, "total": count}
    if content.missed is None:
        yield _("Whether the model missed a lesion is not said.")
    elif not content.missed:
        yield _("The model missed no lesion.")


def _missed(missed: MissedLesions, labels: Labels) -> str:
    sentence = ngettext(
        "The reviewer sees %(count)d lesion that the model missed: %(label)s.",
        "The reviewer sees %(count)d lesions that the model missed: %(label)s.",
        missed.count,
    )
    return sentence % {"count": missed.count, "label": labels(missed.label)}


def _rows(standing: Standing, labels: Labels) -> list[list[str]]:
    """Return a row for each judged lesion, in the order and with the numbers of the page."""
    lesions = sorted(
        standing.content.lesions, key=lambda lesion: (labels.rank(lesion.label), lesion.id)
    )
    return [
        [
            str(lesion.id + 1),
            labels(lesion.label),
            words.verdict(lesion.verdict),
            "-" if lesion.true_label is None else labels(lesion.true_label),
        ]
        for lesion in lesions
    ]
