import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from pydantic import Field

from pipeline.bundle.golden import Agreement, compare
from pipeline.errors import BundleError, ImageError
from pipeline.image.decode import decode
from pipeline.image.gradability import QualityLimits, Reason, reasons_against
from pipeline.image.quality import measure
from pipeline.predictor import LesionPredictor
from pipeline.schema import Schema
from pipeline.schemas import Detection, PredictOptions

GOLDEN_OPTIONS = PredictOptions(masks="rle", visualization="none")


@dataclass(frozen=True, slots=True)
class GoldenCase:
    """A golden image file, and the lesions that the model is expected to find in it."""

    name: str
    image: bytes
    expected: Sequence[Detection]


class ReportedCase(Schema):
    """A GoldenCase as JSON."""

    name: str
    image: str = Field(description="the image file in base64")
    expected: list[Detection]


class GoldenReport(Schema):
    """The golden cases of a loaded model, for a caller who probes the whole service with them."""

    bundle_sha256: str
    score_threshold: float = Field(description="the model's own")
    cases: list[ReportedCase]


class GoldenCheck:
    """The golden cases of a bundle, and the predictor that has to reproduce them.

    The images are in memory, so that the check does not depend on the folder, which may be gone or
    hold another version by then. `score_threshold` is the model's own.
    """

    def __init__(
        self, cases: Sequence[GoldenCase], predictor: LesionPredictor, threshold: float
    ) -> None:
        self.cases = tuple(cases)
        self._predictor = predictor
        self.score_threshold = threshold

    def run(self, case: GoldenCase) -> Agreement:
        """Run one case. Raise BundleError where it differs."""
        detections = detect(self._predictor, case.name, case.image)
        return compare(case.name, case.expected, detections, self.score_threshold)

    def run_all(self) -> Agreement:
        """Run all cases. Raise BundleError where one differs."""
        return reduce(Agreement.worst, map(self.run, self.cases), Agreement())

    def ungradable(self, limits: QualityLimits) -> dict[str, list[Reason]]:
        """Return the cases whose images are not gradable by the limits, each with its reasons."""
        reasons = {
            case.name: reasons_against(measure(decode(case.image).pixels), limits)
            for case in self.cases
        }
        return {name: of_case for name, of_case in reasons.items() if of_case}

    def report(self, max_bytes: int) -> GoldenReport:
        """Return the cases, in order, whose images have at most `max_bytes` in all.

        A case that does not fit is left out.
        """
        cases, left = [], max_bytes
        for case in self.cases:
            if len(case.image) > left:
                continue
            left -= len(case.image)
            cases.append(_reported(case))
        return GoldenReport(
            bundle_sha256=self._predictor.info.bundle_sha256,
            score_threshold=self.score_threshold,
            cases=cases,
        )


def _reported(case: GoldenCase) -> ReportedCase:
    image = base64.b64encode(case.image).decode("ascii")
    return ReportedCase(name=case.name, image=image, expected=list(case.expected))


def detect(predictor: LesionPredictor, name: str, image: bytes) -> list[Detection]:
    """Return the detections on a golden image. Raise BundleError, which names the image."""
    try:
        return predictor(image, GOLDEN_OPTIONS).detections
    except ImageError as error:
        raise BundleError(f"golden image {name}: {error}") from error
