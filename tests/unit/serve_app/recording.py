from collections.abc import Sequence

from pipeline.bundle.golden import Agreement
from pipeline.model_info import ModelInfo
from serve_app.metrics import Stage


class RecordingMetrics:
    """Metrics that a test reads."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self.batches: list[Sequence[float]] = []
        self.waiting: list[int] = []
        self.models: list[ModelInfo] = []
        self.agreements: list[Agreement] = []
        self.checks: list[str] = []
        self.ungradable: list[Sequence[str]] = []

    def stage_took(self, stage: Stage, seconds: float) -> None:
        assert seconds >= 0
        self.stages.append(stage)

    def batch_starts(self, waited_s: Sequence[float]) -> None:
        self.batches.append(waited_s)

    def images_wait(self, images: int) -> None:
        self.waiting.append(images)

    def image_ungradable(self, reasons: Sequence[str]) -> None:
        self.ungradable.append(reasons)

    def model_loaded(self, model: ModelInfo) -> None:
        self.models.append(model)

    def golden_reproduced(self, agreement: Agreement) -> None:
        self.agreements.append(agreement)
        self.checks.append("reproduced")

    def golden_differs(self) -> None:
        self.checks.append("differs")

    def weights_unchanged(self) -> None:
        self.checks.append("unchanged")

    def weights_changed(self) -> None:
        self.checks.append("changed")
