"""People with second factors, for tests."""

from time import time

import pyotp
from django.contrib.auth.models import User

from gateway.audit.events import COMMAND
from gateway.signin import totp
from gateway.signin.actions import add_app


def app_of(user: User) -> str:
    """Give a person an authenticator app, and return its secret."""
    secret = totp.new_secret()
    add_app(user, secret, int(time()) // 30 - 2, by=COMMAND)
    return secret


def next_code(secret: str) -> str:
    """Return a code that is valid now, also if half a minute ends before it is sent."""
    return pyotp.TOTP(secret).generate_otp(int(time()) // 30 + 1)
