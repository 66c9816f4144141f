from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from pipeline.bundle.golden import Agreement
from pipeline.model_info import ModelInfo

Stage = Literal["preprocess", "predictor", "postprocess"]


class Metrics(Protocol):
    """What a replica reports to Prometheus about its stages and its model."""

    def stage_took(self, stage: Stage, seconds: float) -> None:
        """Count one image of a stage; the predictor's seconds include its queue."""
        ...

    def batch_starts(self, waited_s: Sequence[float]) -> None:
        """Count a batch, by the seconds for which each of its images has waited."""
        ...

    def images_wait(self, images: int) -> None:
        """Set how many images wait for the model."""
        ...

    def image_ungradable(self, reasons: Sequence[str]) -> None:
        """Count an image that is not gradable, for each of its reasons."""
        ...

    def model_loaded(self, model: ModelInfo) -> None: ...

    def golden_reproduced(self, agreement: Agreement) -> None:
        """Count a run of all golden cases, now, with its largest differences."""
        ...

    def golden_differs(self) -> None:
        """Count a run of the golden cases in which one differed or failed."""
        ...

    def weights_unchanged(self) -> None:
        """Count a comparison of the weights in memory, now, with those that were loaded."""
        ...

    def weights_changed(self) -> None: ...


# Called in the replica that the metrics are of.
MakeMetrics = Callable[[], Metrics]


class NoMetrics:
    """Metrics that nobody collects."""

    def stage_took(self, stage: Stage, seconds: float) -> None: ...

    def batch_starts(self, waited_s: Sequence[float]) -> None: ...

    def images_wait(self, images: int) -> None: ...

    def image_ungradable(self, reasons: Sequence[str]) -> None: ...

    def model_loaded(self, model: ModelInfo) -> None: ...

    def golden_reproduced(self, agreement: Agreement) -> None: ...

    def golden_differs(self) -> None: ...

    def weights_unchanged(self) -> None: ...

    def weights_changed(self) -> None: ...
