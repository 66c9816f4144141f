"""The reference profile of a bundle, as text."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.text import counted

if TYPE_CHECKING:
    from pipeline.bundle.profile import ClassAccuracy, ReferenceProfile, Share
    from pipeline.image.gradability import Limits


def profile_lines(profile: "ReferenceProfile") -> Iterator[str]:
    """Yield what the profile is of, the limits of a gradable image, and a line for each class."""
    yield (
        f"profile of {counted(profile.images, 'validation image')}, answered by the "
        f"{profile.engine} engine in {profile.precision}"
    )
    if profile.limits is None:
        yield f"  WARNING: images are not assessed: no limits, {profile.limits_source}"
    else:
        yield f"  gradable: {', '.join(map(_limit, profile.limits.items()))}"
    distance = profile.per_image.get("embedding", {}).get("distance")
    if profile.embedding is not None and distance is not None:
        components = counted(len(profile.embedding.components), "component")
        yield (
            f"  embedding: {components}, 99 % of the images at a distance of at most "
            f"{distance.quantile(0.99):g}"
        )
    if profile.accuracy is not None:
        for label, accuracy in profile.accuracy.classes.items():
            yield f"  {label}: {_figures(accuracy)}"


def _limit(item: "tuple[str, Limits]") -> str:
    name, limits = item
    if limits.low is None:
        return f"{name} at most {limits.high:g}"
    if limits.high is None:
        return f"{name} at least {limits.low:g}"
    return f"{name} {limits.low:g} to {limits.high:g}"


def _figures(accuracy: "ClassAccuracy") -> str:
    parts = [f"precision {_share(accuracy.precision)}", f"recall {_share(accuracy.recall)}"]
    for kind, ap in (("box", accuracy.box_ap), ("mask", accuracy.mask_ap)):
        if ap is not None:
            parts.append(f"{kind} AP {ap:.4f}")
    return ", ".join(parts)


def _share(share: "Share | None") -> str:
    if share is None:
        return "of nothing"
    return f"{share.value:.3f} ({share.low:.3f} to {share.high:.3f}, of {share.total})"
