from collections.abc import Mapping

from gateway.monitor.stored_profiles import stored_profile


def reference_precision(bundle_sha256: str) -> Mapping[str, float] | None:
    """Return the lower end of the 95 % interval of each class's precision on the validation images.

    None where the model's profile, or its accuracy, is not known; blocking. A class without an
    interval is left out.
    """
    profile = stored_profile(bundle_sha256)
    if profile is None or profile.accuracy is None:
        return None
    return {
        label: accuracy.precision.low
        for label, accuracy in profile.accuracy.classes.items()
        if accuracy.precision is not None
    }
