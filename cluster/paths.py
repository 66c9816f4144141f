from pathlib import Path

# A clone, or the installed wheel: bundles and profiles lie beside the packages in both.
ROOT = Path(__file__).resolve().parent.parent

LOCAL_PROFILE = ROOT / "configs" / "serve" / "local.yaml"
DEMO_BUNDLE = ROOT / "weights" / "demo"
DEMO_IMAGE = ROOT / "weights" / "example.jpg"

# Where `lesionserve up` keeps keys and records.
DATA = Path.home() / ".local" / "share" / "lesionserve"
