from pathlib import Path

from rich.table import Table
from rich.text import Text

from cluster.cli.comparison_report import ImageReport, Report
from pipeline.model_info import ModelInfo
from pipeline.text import counted, printable

# Of the images, from the worst: those that differ come first.
_ROWS = 20


def images_table(report: Report) -> Table:
    """Return a table of the images that differ most. File names are text, never rich's markup."""
    worst = sorted(report.images, key=lambda image: image.badness, reverse=True)
    table = Table(
        title=f"{min(_ROWS, len(worst))} of {counted(len(worst), 'image')}, the worst first",
        title_justify="left",
    )
    for heading in ("image", "agreed", "lost", "added", "reclassified", "score change"):
        table.add_column(heading, justify="left" if heading == "image" else "right")
    for image in worst[:_ROWS]:
        comparison = image.comparison
        table.add_row(
            Text(printable(Path(image.image).name)),
            str(len(comparison.agreed) + comparison.borderline),
            str(len(comparison.lost)),
            str(len(comparison.added)),
            str(len(comparison.reclassified)),
            f"{comparison.largest_score_delta:.3f}",
        )
    return table


def summary_table(report: Report) -> Table:
    """Return the counts over all images, and how far the lesions of both models differ."""
    summary = report.summary
    table = Table(show_header=False)
    for name, value in (
        ("A", _model(report.a)),
        ("B", _model(report.b)),
        ("images", str(summary.images)),
        ("no lesion differs in", _share(report)),
        ("lesions that differ", f"{summary.mean_disagreement:.1%}, on average of the images"),
        ("agreed", counted(summary.agreed, "lesion")),
        ("within rounding", f"{counted(summary.borderline, 'lesion')} at a score threshold"),
        ("lost by B", counted(summary.lost, "lesion")),
        ("added by B", counted(summary.added, "lesion")),
        ("reclassified", counted(summary.reclassified, "lesion")),
        (
            "score change",
            f"{summary.mean_score_delta:+.4f}, at most {summary.largest_score_delta:.4f}",
        ),
        (
            "area change",
            f"{summary.mean_area_delta:+.2%}, at most {summary.largest_area_delta:.2%}",
        ),
    ):
        table.add_row(name, Text(printable(value)))
    return table


def differences(image: ImageReport) -> str:
    """Return in a few words how an image differs, such as `1 lost, 2 added`."""
    comparison = image.comparison
    counts = {
        "lost": len(comparison.lost),
        "added": len(comparison.added),
        "reclassified": len(comparison.reclassified),
    }
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    if comparison.one_withheld:
        parts.append("withheld by one model")
    if not parts:
        agreed = counted(comparison.lesions, "lesion")
        return f"{agreed} agree, scores within {comparison.largest_score_delta:.3f}"
    return ", ".join(parts)


def _share(report: Report) -> str:
    alike = report.summary.alike
    if alike is None:
        return "of none"
    share = f"{alike.value:.1%} of the images"
    return f"{share} (95 % interval {alike.low:.1%} to {alike.high:.1%})"


def _model(model: ModelInfo) -> str:
    digest = model.bundle_sha256[:12]
    return f"{model.name} {model.version} ({digest}), {model.engine} in {model.precision}"
