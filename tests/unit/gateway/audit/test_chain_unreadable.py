"""Values that only SQLite lets a column hold."""

import pytest
from django.core.management import CommandError
from django.db import connection

from gateway.audit.chain import Head, faults
from gateway.audit.models import Record
from tests.unit.gateway.audit.test_chain import trail, verify

__all__ = ["trail"]

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(
        connection.vendor != "sqlite", reason="other databases refuse such values themselves"
    ),
]


UNREADABLE = "row 3 or one behind it holds a value that its column cannot hold"
CHANGED = "row 3 is not what was sealed"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("request_id = 'none'", UNREADABLE),
        ("class_counts = '{'", CHANGED),
        ("received_at = 'now'", CHANGED),
        ("latency_ms = ''", CHANGED),
    ],
)
def test_unreadable_row_is_found(trail, change, line):
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA ignore_check_constraints = 1")
        cursor.execute(f"UPDATE usage_record SET {change} WHERE position = 3")
    with pytest.raises(CommandError, match="not intact"):
        verify()
    assert list(faults(Record, Head.objects.get(trail="requests"))) == [line]
