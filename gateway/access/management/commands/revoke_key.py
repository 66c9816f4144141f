from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from gateway import terminal
from gateway.access.actions import revoke
from gateway.access.models import ApiKey
from gateway.audit.events import COMMAND


class Command(terminal.Command):
    help = "Revokes an API key at once, for good."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("prefix", help="the id of the key, as list_keys shows it")

    def handle(self, *args: Any, prefix: str, **options: Any) -> None:
        key = ApiKey.objects.filter(id=prefix).first()
        if key is None:
            raise CommandError("no key has this id; list_keys shows them")
        revoke(key, by=COMMAND)
        self.stderr.write(f"Revoked: {key}")
