"""The report on a replay, as lines for people."""

from collections.abc import Iterator, Sequence

from cluster.cli.replay_report import Fact, LesionDifference, ReplayReport, Verdict
from pipeline.schemas import Detection
from pipeline.text import counted

_VERDICTS = {
    Verdict.SAME: "same",
    Verdict.DIFFERENT: "different",
    Verdict.UNKNOWN: "cannot be told",
}
_IMAGES = {
    True: "the same: its SHA-256 is that of the answer",
    False: "another one",
    None: "perhaps the same: what was kept does not say",
}
_DIGEST = 64


def report_lines(report: ReplayReport) -> Iterator[str]:
    """Yield the verdict, then what decides an answer, then what differs in the answer."""
    yield f"{_VERDICTS[report.verdict]}: {report.reason}"
    yield f"image: {_IMAGES[report.is_same_image]}"
    yield from map(_fact_line, report.facts)
    yield from map(_fact_line, report.counts)
    yield from map(_lesion_line, report.lesions)
    if report.largest is not None and not report.lesions:
        yield _largest_line(report.largest)


def _fact_line(fact: Fact) -> str:
    name = fact.name.replace("_", " ")
    if not fact.differs:
        return f"{name}: {_shown(fact.now)}"
    if fact.then is None:
        return f"{name}: {_shown(fact.now)} now; what it was then is not known"
    return f"{name}: {_shown(fact.then)} then, {_shown(fact.now)} now"


def _shown(value: object) -> str:
    if value is None:
        return "none"
    text = str(value)
    return text[:12] if len(text) == _DIGEST else text


def _lesion_line(difference: LesionDifference) -> str:
    then, now = difference.then, difference.now
    if then is None:
        assert now is not None
        return f"lesion {now.id} of now: {_described(now)}, is new"
    if now is None:
        return f"lesion {then.id}: {_described(then)}, is not found now"
    return (
        f"lesion {then.id}: {_described(then)} then, {_described(now)} now; differs in "
        f"{_listed(difference.parts)}"
    )


def _described(lesion: Detection) -> str:
    box = ", ".join(f"{side:.1f}" for side in lesion.box)
    area = "" if lesion.mask_area is None else f", mask of {counted(lesion.mask_area, 'pixel')}"
    return f"{lesion.label} with score {lesion.score:.4f} at ({box}){area}"


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def _largest_line(largest: dict[str, float]) -> str:
    return (
        f"largest differences: {largest['score']:.2g} of a score, {largest['box_pixels']:.2g} "
        f"pixels of a box's side, {1 - largest['mask_iou']:.2g} of a mask"
    )
