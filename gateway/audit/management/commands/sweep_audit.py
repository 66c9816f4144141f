from typing import Any

from gateway import terminal
from gateway.audit.sweep import sweep


class Command(terminal.Command):
    help = (
        "Closes as `unknown` the records that a crash left open. A running gateway does it itself "
        "once a minute."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"closed {len(sweep())} records")
