from pathlib import Path

from pipeline.bundle.bundle import Bundle, open_bundle
from pipeline.errors import BundleError


def open_deployed_bundle(bundle_sha256: str | None, path: Path) -> Bundle:
    """Open the bundle that was deployed. Raise BundleError where the folder holds another one.

    Replicas are added long after a roll, and must answer from the same model as the others.
    Without a digest, any intact bundle is opened.
    """
    bundle = open_bundle(path)
    digest = bundle.manifest.digest
    if bundle_sha256 is not None and digest != bundle_sha256:
        raise BundleError(
            f"the bundle in {path} has the digest {digest[:12]}, but {bundle_sha256[:12]} was "
            "deployed; restore that bundle, or deploy this one"
        )
    return bundle
