from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError

from gateway import terminal
from gateway.audit.events import COMMAND
from gateway.signin.actions import reset_second_factor


class Command(terminal.Command):
    help = (
        "Removes all second factors of a person who lost them, and ends their sessions. Make sure "
        "first that it is them who asks."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, username: str, **options: Any) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError("no person has this name")
        count = reset_second_factor(user, by=COMMAND)
        self.stderr.write(f"Removed {count} second factors of {username}.")
