from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from gateway import terminal
from gateway.access.actions import rotate
from gateway.access.models import ApiKey
from gateway.audit.events import COMMAND


class Command(terminal.Command):
    help = "Issues a key in place of another, which stays valid for a while: the key to stdout."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("prefix", help="the id of the old key, as list_keys shows it")
        parser.add_argument(
            "--overlap", type=int, default=7, metavar="DAYS", help="for the old key; default: 7"
        )

    def handle(self, *args: Any, prefix: str, overlap: int, **options: Any) -> None:
        if not 0 <= overlap <= 365:
            raise CommandError("--overlap needs 0 to 365 days")
        old = ApiKey.objects.select_related("organisation", "owner").filter(id=prefix).first()
        if old is None:
            raise CommandError("no key has this id; list_keys shows them")
        if not old.is_active(timezone.now()):
            raise CommandError("this key is not valid any more; issue another")
        try:
            key, token = rotate(old, timedelta(days=overlap), by=COMMAND)
        except ValueError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(str(token))
        self.stderr.write(
            f"Issued {key.id}. It is not shown again. "
            f"The old key {old.id} is valid until {old.expires_at:%Y-%m-%d %H:%M} UTC."
        )
