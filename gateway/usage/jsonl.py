import json

from gateway.usage.models import Event, Record


def line(row: Record | Event) -> str:
    """The row as the trail sealed it, and its seal."""
    kind = "request" if isinstance(row, Record) else "event"
    return json.dumps({"trail": kind, **json.loads(row.content()), "seal": row.seal})
