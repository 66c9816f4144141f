import json

from gateway.audit.chain import canonical
from gateway.audit.models import Event, Record


def line(row: Record | Event) -> str:
    """Return every field of the row in its sealed form, and the seal."""
    kind = "request" if isinstance(row, Record) else "event"
    return json.dumps({"trail": kind, **json.loads(canonical(row.values())), "seal": row.seal})
