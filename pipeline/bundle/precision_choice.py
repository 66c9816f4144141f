"""Which precision was chosen for a bundle when it was packed, and why, for its manifest."""

from collections.abc import Sequence

from pydantic import Field

from pipeline.engines.base import Precision
from pipeline.schema import Name, Schema


class Quartiles(Schema):
    """A median with its quartiles."""

    low: float
    median: float
    high: float


class Accuracy(Schema):
    """COCO's average precision (AP, 0 to 1) of boxes or masks, and what of float32's is lost.

    The interval from `loss_low` to `loss_high` holds nine tenths of the losses that bootstrap
    samples of the images give, so that `loss_high` is exceeded in one of twenty.
    """

    ap: float
    loss: float
    loss_low: float
    loss_high: float

    def is_within(self, max_loss: float) -> bool:
        """Return whether the loss, and the upper end of its interval, are at most `max_loss`."""
        return max(self.loss, self.loss_high) <= max_loss


class MeasuredPrecision(Schema):
    """One precision as it was measured, or the reason why it could not be.

    ms: of the engine, for an image. relative_time: that of the same image in float32 is 1.
    mask: None for a model without masks.
    """

    precision: Precision
    engine: Name
    box: Accuracy | None = None
    mask: Accuracy | None = None
    ms: Quartiles | None = None
    relative_time: Quartiles | None = None
    within_loss: bool = False
    rejected: str | None = Field(default=None, description="why it cannot be chosen")


class PrecisionChoice(Schema):
    """The precision that `auto` stands for, and everything it was chosen from.

    images: how many were measured, with `annotations` that count. left_out: annotated images that
    were not measured, since int8 is calibrated on them. processor: where the times hold.
    """

    chosen: Precision
    max_loss: float
    images: int
    annotations: int
    left_out: int
    annotations_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    processor: Name
    threads: int
    measured: list[MeasuredPrecision] = Field(min_length=1)

    @property
    def engine(self) -> str:
        """Return the name of the engine that the chosen precision was measured with."""
        return next(item.engine for item in self.measured if item.precision == self.chosen)


def judge(measured: MeasuredPrecision, max_loss: float) -> MeasuredPrecision:
    """Return what was measured, with the reason why it cannot be chosen where there is one.

    A precision may lose at most `max_loss` of box AP and of mask AP. Below float32 it has to be
    faster as well: in three of four images, so that chance alone does not choose it.
    """
    if measured.rejected is not None:
        return measured
    losing = [
        f"{kind} AP loses {accuracy.loss:.4f}, and up to {accuracy.loss_high:.4f} by chance"
        for kind, accuracy in (("box", measured.box), ("mask", measured.mask))
        if accuracy is not None and not accuracy.is_within(max_loss)
    ]
    reason = " and ".join(losing) or None
    if reason is None and measured.precision != "float32":
        assert measured.relative_time is not None, "it was measured"
        if measured.relative_time.high >= 1:
            reason = "it is not faster than float32 in three of four images"
    return measured.model_copy(update={"within_loss": not losing, "rejected": reason})


def choose(judged: Sequence[MeasuredPrecision]) -> Precision:
    """Return the fastest precision that may be chosen; of equally fast ones, the first.

    judged: from the highest precision to the lowest. float32 is among them, and is never rejected.
    """
    eligible = [item for item in judged if item.rejected is None]
    return min(eligible, key=_relative_time).precision


def _relative_time(item: MeasuredPrecision) -> float:
    assert item.relative_time is not None, "it was measured"
    return item.relative_time.median
