from pipeline.bundle.bundle import Bundle
from pipeline.bundle.golden_check import GoldenCheck
from pipeline.errors import BundleError
from pipeline.image.gradability import Assessor
from serve_app.args import Ungradable


def open_assessor(bundle: Bundle, golden: GoldenCheck, ungradable: Ungradable) -> Assessor:
    """Return what tells whether images are gradable for the bundle's model.

    Raise BundleError where detections are to be withheld and the bundle does not allow it: without
    limits none would ever be, and a golden case that is not gradable would always be, so that the
    gateway's probes would find the model wrong.
    """
    limits = bundle.quality_limits
    if ungradable == "withhold":
        if limits is None:
            raise BundleError(
                "ungradable: withhold needs the limits of a gradable image, and the bundle has "
                "none; pack it again with --profile"
            )
        for name, reasons in golden.ungradable(limits).items():
            raise BundleError(
                f"ungradable: withhold would withhold the lesions of the golden image {name} "
                f"({', '.join(reasons)}); pack the bundle again without it, or with other limits"
            )
    return Assessor(limits, withhold=ungradable == "withhold")
