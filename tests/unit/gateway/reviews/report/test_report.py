"""The report on an answer: what it says, in five languages, and as PDF."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from django.utils.translation import override

from gateway.audit.models import Event, Record, State
from gateway.errors import NotFound
from gateway.monitor.models import ReferenceProfile
from gateway.reviews.models import Version
from gateway.reviews.report.content import Content
from gateway.reviews.report.pdf import pdf_of, printed
from gateway.reviews.report.report import Language, active_language, read_report
from gateway.reviews.report.section import Section
from tests.clinics import organisation_named
from tests.unit.gateway.reviews.records import (
    BUNDLE,
    JANE,
    JOHN,
    accepted,
    answered,
    rejected,
    relabelled,
    say,
)

pytestmark = pytest.mark.django_db

AT = datetime(2026, 11, 27, 8, 30, tzinfo=UTC)
LANGUAGES: tuple[Language, ...] = get_args(Language)


def record(**changes: Any) -> Record:
    values = {
        "received_at": AT,
        "finished_at": AT + timedelta(seconds=1),
        "image_format": "JPEG",
        "image_sha256": "c" * 64,
        "model_name": "cervix",
        "model_version": "3.1",
        "model_engine": "openvino",
        "model_precision": "int8",
        "model_score_threshold": 0.5,
        "model_software": {"lesionserve": "0.1.0", "openvino": "2026.2"},
        "options": {"score_threshold": 0.6},
        "below_threshold": 1,
        "ungradable_reasons": [],
        "score_counts": [0, 0, 0, 0, 0, 0, 2, 0, 1, 2],
    }
    return answered(**(values | changes))


def content(record: Record, language: Language = "en") -> Content:
    assert record.organisation is not None
    return read_report(record.request_id, record.organisation, JANE, language).content


def section(content: Content, heading: str) -> Section:
    return next(section for section in content.sections if section.heading == heading)


def text(content: Content) -> str:
    return content.model_dump_json()


def test_report_says_what_the_record_holds():
    row = record()
    report = content(row)
    assert section(report, "Findings").lines == [
        "The model found 5 lesions.",
        "1 more is below the score threshold that was asked for.",
        "Class names without a translation are the model's own.",
    ]
    assert section(report, "Lesions by class").rows == [
        ["HSIL", "2"],
        ["LSIL", "3"],
        ["carcinoma", "0"],
    ]
    scores = section(report, "Lesions by score")
    assert scores.rows == [["90 % to 100 %", "2"], ["80 % to 90 %", "1"], ["60 % to 70 %", "2"]]
    assert dict(section(report, "Request and image").facts) == {
        "Request": str(row.request_id),
        "Received": "2026-11-27 08:30:00 UTC",
        "Answered": "2026-11-27 08:30:01 UTC",
        "Size": "640 x 480 px",
        "Format": "JPEG",
        "SHA-256 of the file": "c" * 64,
    }
    assert dict(section(report, "Model").facts) == {
        "Name and version": "cervix 3.1",
        "SHA-256 of the bundle": BUNDLE,
        "Engine and precision": "openvino int8",
        "Score threshold of the model": "0.5",
        "Score threshold that was asked for": "0.6",
        "Software": "lesionserve 0.1.0, openvino 2026.2",
    }
    assert section(report, "Review").lines == ["Nobody has judged these findings."]
    assert "not a diagnosis" in report.notices[0]
    assert len(report.notices) == 1


def test_report_says_what_each_reviewer_said():
    row = record()
    lesions = [accepted(0), relabelled(1), rejected(3, "HSIL")]
    missed = [{"label": "carcinoma", "count": 2}]
    say(row, lesions=lesions, missed=missed, comment="After acetic acid")
    say(row, ungradable={"reason": "glare"}, by=JOHN)
    Version.objects.update(at=AT)
    report = content(row)
    jane, john = section(report, "Review by jane"), section(report, "Review by john")
    assert jane.rows == [
        ["1", "LSIL", "accepted", "LSIL"],
        ["2", "LSIL", "of another class", "HSIL"],
        ["4", "HSIL", "rejected: no lesion", "-"],
    ]
    assert jane.lines[1:] == [
        "2 of 5 lesions are not judged.",
        "The reviewer sees 2 lesions that the model missed: carcinoma.",
        "Comment: After acetic acid",
    ]
    assert john.lines == [
        "Version 1, 2026-11-27 08:30:00 UTC.",
        "The image cannot be judged.",
        "The image has too much glare.",
        "5 of 5 lesions are not judged.",
        "Whether the model missed a lesion is not said.",
    ]
    assert john.rows == []


def test_most_severe_class_comes_first_where_the_order_is_known():
    row = record()
    say(row, lesions=[accepted(0), accepted(2), accepted(1, "HSIL"), rejected(4, "HSIL")])

    def order() -> tuple[list[str], list[str]]:
        report = content(row)
        classes = section(report, "Lesions by class").rows
        verdicts = section(report, "Review by jane").rows
        return [label for label, _ in classes], [number for number, *_ in verdicts]

    assert order() == (["HSIL", "LSIL", "carcinoma"], ["1", "2", "3", "5"])
    names = ["LSIL", "HSIL", "carcinoma"]
    ReferenceProfile.objects.create(bundle_sha256=BUNDLE, class_names=names)
    assert order() == (["carcinoma", "HSIL", "LSIL"], ["2", "5", "1", "3"])
    ReferenceProfile.objects.update(class_names=["HSIL", "LSIL", "carcinoma"])
    assert order() == (["carcinoma", "LSIL", "HSIL"], ["1", "3", "2", "5"])


def test_result_of_ungradable_image_is_not_reliable():
    changes = {"detection_count": 0, "class_counts": {}, "score_counts": [0] * 10}
    report = content(record(**changes, ungradable_reasons=["glare"], below_threshold=0))
    first, second = section(report, "Findings").lines
    assert "not reliable" in first
    assert "no lesion" in second


def test_report_says_what_reviewer_left_open():
    row = answered({"LSIL": 2})
    say(row, lesions=[accepted(0)], missed=[])
    say(row, lesions=[accepted(0), rejected(1)], by=JOHN)
    report = content(row)
    assert section(report, "Review by jane").lines[1:] == [
        "1 of 2 lesions is not judged.",
        "The model missed no lesion.",
    ]
    assert section(report, "Review by john").lines[1:] == [
        "Whether the model missed a lesion is not said."
    ]


@pytest.mark.parametrize(
    ("changes", "heading", "lines"),
    [
        (
            {
                "detection_count": None,
                "class_counts": {},
                "ungradable_reasons": ["too_dark", "x_y"],
            },
            "Quality of the image",
            [
                "The image is not gradable: it differs from those that the model was tested on.",
                "The image is too dark.",
                "The image is not good enough (x y).",
            ],
        ),
        (
            {"ungradable_reasons": None},
            "Quality of the image",
            ["The quality of the image was not assessed."],
        ),
        (
            {
                "detection_count": 0,
                "below_threshold": 0,
                "score_counts": [0] * 10,
                "class_counts": {},
            },
            "Findings",
            ["The model found no lesion. This does not mean that there is none."],
        ),
    ],
    ids=["ungradable", "not assessed", "none"],
)
def test_report_of_other_answers_says_what_is_known(changes, heading, lines):
    assert section(content(record(**changes)), heading).lines == lines


def test_report_of_withheld_answer_counts_nothing():
    report = content(record(detection_count=None, class_counts={}, ungradable_reasons=["glare"]))
    assert "no lesions were looked for" in section(report, "Findings").lines[0]
    assert "Lesions by class" not in [section.heading for section in report.sections]


def test_report_of_demonstration_warns():
    assert "demonstration" in content(record(model_name="Demo 2")).notices[1]


def test_report_holds_no_correlation_id_nor_caller():
    report = content(record(correlation_id="jane-doe", user="nurse", address="192.0.2.7"))
    assert not re.search("jane-doe|nurse|192", text(report))


def test_labels_are_translated_with_the_models_own_beside():
    ReferenceProfile.objects.create(
        bundle_sha256=BUNDLE, labels={"HSIL": {"es": "Alto grado"}, "LSIL": {"es": "LSIL"}}
    )
    row = record()
    say(row, lesions=[relabelled(0)])
    report = content(row, "es")
    assert section(report, "Lesiones por clase").rows[0] == ["Alto grado (HSIL)", "2"]
    assert section(report, "Lesiones por clase").rows[1:] == [["LSIL", "3"], ["carcinoma", "0"]]
    assert section(report, "Revisión de jane").rows[0][3] == "Alto grado (HSIL)"
    assert "sin traducción" in section(report, "Hallazgos").lines[-1]


def test_report_of_request_without_answer_is_unknown():
    row = record(state=State.REJECTED, status=422)
    with pytest.raises(NotFound, match="no answer"):
        content(row)


def test_report_of_another_organisation_is_not_found():
    row = record(organisation="elsewhere")
    with pytest.raises(NotFound):
        read_report(row.request_id, organisation_named("a clinic"), JANE, "en")
    (event,) = Event.objects.filter(action=Event.Action.RECORD_READ)
    assert (event.subject, event.actor) == (f"report:{row.request_id}", "user:jane")


@pytest.mark.parametrize(
    ("active", "language"), [("es", "es"), ("pt-br", "pt"), ("de", "en"), ("en-us", "en")]
)
def test_report_is_in_language_of_request_where_it_is_known(active, language):
    with override(active):
        assert active_language() == language


def document(language: Language, row: Record) -> bytes:
    assert row.organisation is not None
    report = read_report(row.request_id, row.organisation, JANE, language)
    return pdf_of(report.content, report.at)


@pytest.mark.parametrize("language", LANGUAGES)
def test_pdf_is_tagged_in_its_language_and_the_same_again(language):
    row = record()
    say(row, lesions=[accepted(0)], comment="ñ ç ß œ «»")
    pdf = document(language, row)
    assert pdf.startswith(b"%PDF-")
    assert pdf == document(language, row)
    for part in (b"/StructTreeRoot", b"/Marked true", f"/Lang({language})".encode()):
        assert part in pdf
    assert b"<pdfuaid:part>1</pdfuaid:part>" in pdf
    assert b"LibertinusSerif" in pdf


def test_later_feedback_gives_another_pdf():
    row = record()
    before = document("en", row)
    say(row, lesions=[accepted(0)])
    assert document("en", row) != before


def test_letters_that_the_font_lacks_are_escaped():
    row = record()
    say(row, comment='前 😀 "quoted" \\ #let [x] *bold* $y$')
    report = content(row)
    comment = section(printed(report), "Review by jane").lines[-1]
    assert comment == 'Comment: \\u524d \\U0001f600 "quoted" \\ #let [x] *bold* $y$'
    assert pdf_of(report, AT.replace(microsecond=1))


def test_font_prints_every_letter_that_is_not_escaped():
    report = content(record())
    ranges = ((0x20, 0x7F), (0xA0, 0x485), (0x1E00, 0x1F00), (0x2010, 0x2028), (0x202F, 0x2041))
    letters = "".join(chr(code) for first, end in ranges for code in range(first, end))
    letters = "".join(letter for letter in letters if letter.isprintable() or letter == "\u00a0")
    assert printed(report.model_copy(update={"notices": [letters]})).notices == [letters]
    assert pdf_of(report.model_copy(update={"notices": [letters]}), AT)
