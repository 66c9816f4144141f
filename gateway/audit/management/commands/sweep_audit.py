from typing import Any

from django.core.management.base import BaseCommand

from gateway.audit.sweep import sweep


class Command(BaseCommand):
    help = (
        "Closes as `unknown` the records that a crash left open. A running gateway does it itself "
        "once a minute."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"closed {len(sweep())} records")
