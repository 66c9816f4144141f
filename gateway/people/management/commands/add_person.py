import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from gateway import terminal
from gateway.audit.events import COMMAND
from gateway.people.actions import add_person
from gateway.people.models import DEFAULT_NAME
from gateway.people.roles import ROLES
from gateway.role_names import RoleName


class Command(terminal.Command):
    help = "Adds a person who signs in with a password, read from the terminal or from stdin."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--role", required=True, choices=sorted(ROLES))
        parser.add_argument("--organisation", default=DEFAULT_NAME, help="made on first use")
        parser.add_argument("--email", default="", help="by which single sign-on may find them")

    def handle(
        self,
        *args: Any,
        username: str,
        role: RoleName,
        organisation: str,
        email: str,
        **options: Any,
    ) -> None:
        if User.objects.filter(username=username).exists():
            raise CommandError("someone has this name already")
        # Staff may enter the admin, which shows them nothing beyond their permissions.
        is_staff = bool(ROLES[role].permissions)
        user = User(username=username, email=email, is_staff=is_staff)
        try:
            user.clean_fields(exclude=["password"])
            password = _password()
            validate_password(password, user)
            user.set_password(password)
            add_person(user, organisation, role, by=COMMAND)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        self.stderr.write(f"Added {username}, {role} of {organisation}.")


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise CommandError("the two differ")
    return password
