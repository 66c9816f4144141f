from rich.table import Table
from rich.text import Text

from pipeline.schemas import Prediction
from pipeline.scores import percent
from pipeline.text import counted, printable


def prediction_table(title: str, prediction: Prediction) -> Table:
    """Return a summary: one row per lesion, the class counts, and the count below the threshold.

    File names and labels are text, never rich's markup, and cannot steer the terminal.
    """
    counts = ", ".join(f"{n} {c}" for c, n in prediction.metrics.class_distribution.items() if n)
    size = f"{prediction.image.width}x{prediction.image.height}"
    table = Table(
        title=_text(f"{title} ({size}): {counted(len(prediction.detections), 'lesion')}"),
        caption=_text(
            f"{counts or 'nothing found'}{_hidden(prediction)}{_ungradable(prediction)} · "
            f"{prediction.model.name} {prediction.model.version}"
        ),
        title_justify="left",
        caption_justify="left",
    )
    for heading in ("#", "class", "score", "box (x1, y1, x2, y2)", "box area", "mask area"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for detection in prediction.detections:
        table.add_row(
            str(detection.id),
            _text(detection.label),
            percent(detection.score),
            ", ".join(f"{side:.0f}" for side in detection.box),
            f"{detection.box_area:.0f}",
            "" if detection.mask_area is None else f"{detection.mask_area}",
        )
    return table


def _text(text: str) -> Text:
    return Text(printable(text))


def _ungradable(prediction: Prediction) -> str:
    """Return why the image is not gradable, and whether its detections are withheld."""
    quality = prediction.quality
    if quality is None or not quality.reasons:
        return ""
    reasons = ", ".join(reason.replace("_", " ") for reason in quality.reasons)
    withheld = ", so no lesions were looked for" if quality.withheld else ""
    return f" · the image is not gradable ({reasons}){withheld}"


def _hidden(prediction: Prediction) -> str:
    """Return what the asked score threshold hid; empty where none was asked for."""
    threshold = prediction.options.score_threshold
    if threshold is None:
        return ""
    return f", {prediction.below_threshold} below the threshold of {percent(threshold)} hidden"
