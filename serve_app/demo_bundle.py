from pathlib import Path

from pipeline.bundle.manifest import Manifest
from pipeline.errors import BundleError

# The digest of weights/demo, written here too, so that another bundle in its folder is not taken
# for it.
DEMO_SHA256 = "7414113c56531ec26226a48ffc72a60f9e15bed8dddd164c7d3564a45df86903"


def require_demo(manifest: Manifest, folder: Path) -> None:
    """Raise BundleError for the manifest of any bundle but the demo's."""
    if manifest.digest != DEMO_SHA256:
        raise BundleError(
            f"{folder} holds {manifest.name} {manifest.version}, and a public demo serves the "
            "synthetic demo model of weights/demo alone: everybody may use it, without keys of "
            "their own. Serve your model with your own keys and TLS (docs/deploy.md)"
        )
