from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from gateway.keys.models import ApiKey


class Command(BaseCommand):
    help = "Issues an API key: the key alone goes to stdout, hints go to stderr."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", required=True, help="whose key it is, or what it is for")
        parser.add_argument("--expires-in", type=int, metavar="DAYS", help="default: never")

    def handle(self, *args: Any, name: str, expires_in: int | None, **options: Any) -> None:
        if not name.strip() or len(name) > 200:
            raise CommandError("--name needs 1 to 200 characters")
        if expires_in is not None and not 1 <= expires_in <= 36_500:
            raise CommandError("--expires-in needs 1 to 36500 days")
        expires_at = None if expires_in is None else timezone.now() + timedelta(days=expires_in)
        key, token = ApiKey.objects.issue(name, expires_at)
        self.stdout.write(str(token))
        until = f"until {expires_at:%Y-%m-%d %H:%M} UTC" if expires_at else "until revoked"
        self.stderr.write(f"Valid {until}. It is not shown again; revoke it with its id {key.id}.")
