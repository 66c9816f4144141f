from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.utils import timezone

from gateway import terminal
from gateway.access.actions import issue
from gateway.audit.events import COMMAND
from gateway.people.actions import get_or_add_organisation
from gateway.people.models import DEFAULT_NAME, Organisation
from gateway.people.scopes import PREDICT, SCOPES


class Command(terminal.Command):
    help = "Issues an API key: the key alone goes to stdout, hints go to stderr."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", required=True, help="what it is for")
        parser.add_argument("--organisation", default=DEFAULT_NAME, help="made on first use")
        parser.add_argument(
            "--scope", action="append", choices=SCOPES, help=f"repeatable; default: {PREDICT}"
        )
        parser.add_argument("--owner", metavar="USERNAME", help="the key works while they do")
        parser.add_argument("--expires-in", type=int, metavar="DAYS", help="default: never")
        parser.add_argument("--requests-per-minute", type=int, metavar="N")
        parser.add_argument("--requests-per-day", type=int, metavar="N", help="default: no quota")

    def handle(
        self,
        *args: Any,
        name: str,
        organisation: str,
        scope: list[str] | None,
        owner: str | None,
        expires_in: int | None,
        requests_per_minute: int | None,
        requests_per_day: int | None,
        **options: Any,
    ) -> None:
        if not name.strip() or len(name) > 200:
            raise CommandError("--name needs 1 to 200 characters")
        if expires_in is not None and not 1 <= expires_in <= 36_500:
            raise CommandError("--expires-in needs 1 to 36500 days")
        for number in (requests_per_minute, requests_per_day):
            if number is not None and not 1 <= number <= 10**9:
                raise CommandError("a limit is at least 1")
        expires_at = None if expires_in is None else timezone.now() + timedelta(days=expires_in)
        try:
            key, token = issue(
                name,
                _organisation(organisation),
                scope or [PREDICT],
                by=COMMAND,
                owner=None if owner is None else _person(owner),
                expires_at=expires_at,
                requests_per_minute=requests_per_minute,
                requests_per_day=requests_per_day,
            )
        except ValueError as error:
            raise CommandError(f"--scope: {error}") from None
        self.stdout.write(str(token))
        until = f"until {expires_at:%Y-%m-%d %H:%M} UTC" if expires_at else "until revoked"
        self.stderr.write(f"Valid {until}. It is not shown again; revoke it with its id {key.id}.")


def _organisation(name: str) -> Organisation:
    try:
        return get_or_add_organisation(name, by=COMMAND)
    except ValidationError as error:
        raise CommandError(f"--organisation: {' '.join(error.messages)}") from None


def _person(username: str) -> User:
    person = User.objects.filter(username=username).first()
    if person is None:
        raise CommandError("no person has this name; add_person adds one")
    return person
