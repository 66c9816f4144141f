"""The precision that was chosen for a bundle, as text."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.text import counted

if TYPE_CHECKING:
    from pipeline.bundle.precision_choice import Accuracy, MeasuredPrecision, PrecisionChoice


def choice_lines(choice: "PrecisionChoice") -> Iterator[str]:
    """Yield which precision `auto` is, and a line for each that was measured."""
    yield (
        f"precision auto: {choice.chosen}, the fastest that loses at most {choice.max_loss:g} of "
        f"AP, on {counted(choice.images, 'image')} with "
        f"{counted(choice.annotations, 'annotation')}, {choice.processor}, "
        f"{counted(choice.threads, 'thread')}"
    )
    if choice.left_out:
        yield (
            f"  {counted(choice.left_out, 'annotated image')} left out: int8 is calibrated on "
            "golden images"
        )
    for measured in choice.measured:
        yield f"  {measured.precision}: {_figures(measured)}"


def _figures(measured: "MeasuredPrecision") -> str:
    parts = [
        f"{kind} AP {_accuracy(accuracy, is_base=measured.precision == 'float32')}"
        for kind, accuracy in (("box", measured.box), ("mask", measured.mask))
        if accuracy is not None
    ]
    if measured.ms is not None:
        parts.append(f"{measured.ms.median:.1f} ms an image")
    if measured.rejected is not None:
        parts.append(f"not chosen: {measured.rejected}")
    return ", ".join(parts)


def _accuracy(accuracy: "Accuracy", *, is_base: bool) -> str:
    if is_base:
        return f"{accuracy.ap:.4f}"
    interval = f"{accuracy.loss_low:.4f} to {accuracy.loss_high:.4f}"
    return f"{accuracy.ap:.4f} (loses {accuracy.loss:.4f}, {interval})"
