import json
import sys
from io import StringIO
from typing import Any

from django.core.management import call_command

from gateway import terminal


class Command(terminal.Command):
    help = (
        "Runs the commands that it reads from stdin, for programs: each line is a JSON array, such "
        'as ["migrate"], and its output is printed as a JSON string. It ends with stdin, or with '
        "the error of the first command that fails."
    )

    requires_system_checks = "__all__"  # once, for all of the commands

    def handle(self, *args: Any, **options: Any) -> None:
        for line in sys.stdin:
            name, *arguments = json.loads(line)
            output = StringIO()
            call_command(name, *arguments, stdout=output)
            self.stdout.write(json.dumps(output.getvalue()))
            self.stdout.flush()
