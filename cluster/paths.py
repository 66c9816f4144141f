from pathlib import Path

from cluster.errors import StackError
from serve_app.paths import ROOT

LOCAL_PROFILE = ROOT / "configs" / "serve" / "local.yaml"
CLUSTER_PROFILE = ROOT / "configs" / "serve" / "cluster.yaml"
COSTS = Path(__file__).parent / "capacity" / "costs.yaml"
SPACE_PROFILE = ROOT / "configs" / "serve" / "space.yaml"
DEMO_BUNDLE = ROOT / "weights" / "demo"
MONITORING = Path(__file__).parent / "monitoring"
DEMO_IMAGE = ROOT / "weights" / "example.jpg"


def home() -> Path | None:
    """Return the user's home folder; None where there is none, as for an unknown user id."""
    try:
        folder = Path.home()
    except RuntimeError:
        return None
    # In a container the home of an unknown user id is "/", as it is with an empty HOME.
    is_home = folder.is_absolute() and folder != Path("/") and folder.is_dir()
    return folder if is_home else None


def default_data() -> Path:
    """Return where `lesionserve up` keeps keys and records. Raise StackError without a home."""
    folder = home()
    if folder is None:
        raise StackError(
            "there is no home folder to keep data in; name a folder with --data", "", 2
        )
    return folder / ".local" / "share" / "lesionserve"
