from contextlib import AbstractContextManager
from pathlib import Path

from cluster.launcher.workspace import Workspace, open_workspace


def workspace_in(data: Path) -> AbstractContextManager[Workspace]:
    """Open a workspace that keeps its data there."""
    return open_workspace(data, tls=False, say=print)
