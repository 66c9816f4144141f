"""What a report says, as the record and the feedback have it, in the reader's language."""

from collections.abc import Iterator, Sequence

from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from pydantic import BaseModel

from gateway.audit.models import SCORE_BINS, Record
from gateway.reviews.report import words
from gateway.reviews.report.review import review_sections
from gateway.reviews.report.section import Section
from gateway.reviews.report.words import Labels
from gateway.reviews.standing import Standing


class Content(BaseModel):
    """A report. `notices` stand before all else; `footer` is on every page."""

    language: str
    title: str
    notices: list[str]
    sections: list[Section]
    footer: str
    page: str


def content_of(
    record: Record, standings: Sequence[Standing], labels: Labels, language: str
) -> Content:
    """Return the report on an answered request, in the language that is active."""
    return Content(
        language=language,
        title=_("Report on an analysed image"),
        notices=list(_notices(record)),
        sections=[
            Section(heading=_("Findings"), lines=list(_findings(record, labels))),
            *_tables(record, labels),
            Section(heading=_("Quality of the image"), lines=_quality(record)),
            *review_sections(standings, labels, record.detection_count),
            Section(heading=_("Request and image"), facts=list(_request(record))),
            Section(heading=_("Model"), facts=list(_model(record))),
        ],
        footer=_("Request %(id)s. Not a diagnosis.") % {"id": record.request_id},
        page=_("Page"),
    )


def _notices(record: Record) -> Iterator[str]:
    yield _(
        "This is not a diagnosis. A computer model made these findings, and a clinician has to "
        "judge them. The service keeps no image, so this report has none."
    )
    if "demo" in record.model_name.lower():
        yield _("The model is a demonstration. What it finds in a patient's image means nothing.")


def _findings(record: Record, labels: Labels) -> Iterator[str]:
    count = record.detection_count
    if count is None:
        yield _(
            "Not analysed: the image is not good enough, and no lesions were looked for. This says "
            "nothing about the patient."
        )
        return
    if record.ungradable_reasons:
        yield _("The result is not reliable, since the image is not gradable.")
    if count == 0:
        yield _("The model found no lesion. This does not mean that there is none.")
    else:
        sentence = ngettext(
            "The model found %(count)d lesion.", "The model found %(count)d lesions.", count
        )
        yield sentence % {"count": count}
    if record.below_threshold:
        sentence = ngettext(
            "%(count)d more is below the score threshold that was asked for.",
            "%(count)d more are below the score threshold that was asked for.",
            record.below_threshold,
        )
        yield sentence % {"count": record.below_threshold}
    if labels.lack_any_of(record.class_counts):
        yield _("Class names without a translation are the model's own.")


def _tables(record: Record, labels: Labels) -> Iterator[Section]:
    if record.detection_count is None:
        return
    yield Section(
        heading=_("Lesions by class"),
        head=[_("Class"), _("Lesions")],
        rows=[
            [labels(label), str(record.class_counts[label])]
            for label in sorted(sorted(record.class_counts), key=labels.rank)
        ],
    )
    if record.detection_count:
        yield Section(
            heading=_("Lesions by score"),
            lines=[_("The record holds their numbers in tenths, and no score of a single lesion.")],
            head=[_("Score"), _("Lesions")],
            rows=[
                [_bin(number), str(count)]
                for number, count in reversed(list(enumerate(record.score_counts)))
                if count
            ],
        )


def _bin(number: int) -> str:
    low, high = (100 * edge // SCORE_BINS for edge in (number, number + 1))
    return _("%(low)d %% to %(high)d %%") % {"low": low, "high": high}


def _quality(record: Record) -> list[str]:
    reasons = record.ungradable_reasons
    if reasons is None:
        return [_("The quality of the image was not assessed.")]
    if not reasons:
        return [_("The image keeps the limits of the model: it is gradable.")]
    return [_("The image is not gradable: it differs from those that the model was tested on.")] + [
        words.reason(name) for name in reasons
    ]


def _request(record: Record) -> Iterator[tuple[str, str]]:
    yield _("Request"), str(record.request_id)
    yield _("Received"), words.time(record.received_at)
    yield _("Answered"), words.time(record.finished_at)
    yield _("Size"), f"{record.image_width} x {record.image_height} px"
    yield _("Format"), record.image_format
    yield _("SHA-256 of the file"), record.image_sha256 or _("not kept")


def _model(record: Record) -> Iterator[tuple[str, str]]:
    yield _("Name and version"), f"{record.model_name} {record.model_version}"
    yield _("SHA-256 of the bundle"), record.bundle_sha256
    yield _("Engine and precision"), f"{record.model_engine} {record.model_precision}"
    if record.model_score_threshold is not None:
        yield _("Score threshold of the model"), f"{record.model_score_threshold:g}"
    asked = (record.options or {}).get("score_threshold")
    if asked is not None:
        yield _("Score threshold that was asked for"), f"{asked:g}"
    software = sorted((record.model_software or {}).items())
    if software:
        yield _("Software"), ", ".join(f"{name} {version}" for name, version in software)
