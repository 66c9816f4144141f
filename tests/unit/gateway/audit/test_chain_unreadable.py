"""Values that only SQLite lets a column hold."""

import pytest
from django.core.management import CommandError
from django.db import connection

from tests.unit.gateway.audit.test_chain import trail, verify

__all__ = ["trail"]

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(
        connection.vendor != "sqlite", reason="other databases refuse such values themselves"
    ),
]


@pytest.mark.parametrize(
    "change",
    ["request_id = 'none'", "class_counts = '{'", "received_at = 'now'", "latency_ms = ''"],
)
def test_unreadable_row_is_found(trail, change):
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA ignore_check_constraints = 1")
        cursor.execute(f"UPDATE usage_record SET {change} WHERE position = 3")
    with pytest.raises(CommandError, match="not intact"):
        verify()
