"""A verdict of the watch in words, for clinicians and engineers alike."""

from collections.abc import Mapping

from gateway.monitor.models import WatchAlarm

GROUP_NAMES: Mapping[str, str] = {
    "quality": "Image quality",
    "input": "Size and shape of images",
    "detections": "Lesions in an image",
    "scores": "Scores",
    "classes": "Classes of lesions",
    "areas": "Sizes, shapes and places of lesions",
    "embedding": "Familiarity to the model",
}
REFERENCE_NAMES: Mapping[str, str] = {
    "validation": "the images that the model was validated on",
    "earlier": "this organisation's earlier images",
}

# What a statistic says where it is higher, and where it is lower.
_WORDS: Mapping[tuple[str, str], tuple[str, str]] = {
    ("quality", "shorter_side"): ("Images have more pixels", "Images have fewer pixels"),
    ("quality", "luma_mean"): ("Images are brighter", "Images are darker"),
    ("quality", "dark_share"): ("More of each image is black", "Less of each image is black"),
    ("quality", "bright_share"): ("More of each image is white", "Less of each image is white"),
    ("quality", "glare_share"): ("Images show more glare", "Images show less glare"),
    ("quality", "contrast"): ("Contrast is stronger", "Contrast is weaker"),
    ("quality", "laplacian_variance"): ("Images have more detail", "Images have less detail"),
    ("quality", "tenengrad"): ("Images have more detail", "Images have less detail"),
    ("quality", "sharpness"): ("Images are sharper", "Images are less sharp"),
    ("quality", "noise"): ("Images are noisier", "Images are less noisy"),
    ("quality", "red_stops"): ("Images are redder", "Images are less red"),
    ("quality", "blue_stops"): ("Images are bluer", "Images are less blue"),
    ("quality", "vignette"): ("Corners are darker", "Corners are less dark"),
    ("input", "megapixels"): ("Images are larger", "Images are smaller"),
    ("input", "aspect"): ("Images are wider for their height", "Images are narrower"),
    ("detections", "count"): ("More lesions are found", "Fewer lesions are found"),
    ("scores", "highest"): ("The highest scores are higher", "The highest scores are lower"),
    ("scores", "lowest"): ("The lowest scores are higher", "The lowest scores are lower"),
    ("scores", "mean"): ("Scores are higher", "Scores are lower"),
    ("areas", "largest"): ("The largest lesions are larger", "The largest lesions are smaller"),
    ("areas", "smallest"): ("The smallest lesions are larger", "The smallest lesions are smaller"),
    ("areas", "mean"): ("Lesions are larger", "Lesions are smaller"),
    ("areas", "sum"): ("Lesions cover more of an image", "Lesions cover less of an image"),
    ("areas", "elongation"): (
        "Boxes of lesions are longer for their width",
        "Boxes of lesions are more nearly square",
    ),
    ("areas", "box_fill"): ("Lesions fill more of their boxes", "Lesions fill less of their boxes"),
    ("areas", "centre_x"): ("Lesions lie further right", "Lesions lie further left"),
    ("areas", "centre_y"): ("Lesions lie further down", "Lesions lie further up"),
    ("areas", "edge_share"): (
        "A larger share of lesions reaches an edge of the image",
        "A smaller share of lesions reaches an edge of the image",
    ),
    ("areas", "overlap"): ("Lesions that overlap do so more", "Lesions that overlap do so less"),
    ("embedding", "distance"): (
        "Images are less familiar to the model",
        "Images are more familiar to the model",
    ),
}


def number(value: float) -> str:
    """Return the value with three digits, or as a whole number where it has more."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def what_changed(alarm: WatchAlarm) -> str:
    """Return what changed most, such as `Images are darker`."""
    if alarm.group == "classes":
        more = "More" if alarm.is_higher else "Fewer"
        return f"{more} lesions of the class {alarm.statistic} are found"
    known = _WORDS.get((alarm.group, alarm.statistic))
    if known is None:  # of a later version
        return f"{alarm.statistic} is {'higher' if alarm.is_higher else 'lower'}"
    return known[0] if alarm.is_higher else known[1]


def moved_median(alarm: WatchAlarm) -> tuple[float, float, float, float] | None:
    """Return the reference's 5 % quantile, median and 95 % quantile, and the median now.

    None where they do not tell the change: the median of a statistic that is mostly 0 stays 0.
    """
    if alarm.usual is None or alarm.now is None:
        return None
    low, median, high = alarm.usual
    return None if number(alarm.now) == number(median) else (low, median, high, alarm.now)


def sentence(alarm: WatchAlarm) -> str:
    """Return the verdict: what changed, against what, by how much, and since when."""
    changed = what_changed(alarm)
    than = "than" if changed.startswith("Images ") else "than in"
    text = f"{changed} {than} {REFERENCE_NAMES[alarm.reference]}"
    if (moved := moved_median(alarm)) is not None:
        low, median, high, now = map(number, moved)
        text += (
            f": the median of {alarm.statistic} is {now} now, where {median} was "
            f"usual ({low} to {high} for nine images of ten)"
        )
    return f"{text}. Since about {alarm.since:%d %b %Y, %H:%M} UTC."
