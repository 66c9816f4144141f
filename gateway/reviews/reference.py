from collections.abc import Mapping


def reference_precision(bundle_sha256: str) -> Mapping[str, float] | None:
    """Return the lower end of the 95 % interval of each class's precision on the validation images.

    None where the model's profile, or its accuracy, is not known; blocking. A class without an
    interval is left out.
    """
    return None
