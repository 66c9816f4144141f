class BackupError(Exception):
    """A backup was not made, or not restored. The message names the reason and the remedy."""
