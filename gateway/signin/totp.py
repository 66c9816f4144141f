"""The codes of authenticator apps: TOTP (RFC 6238) with SHA-1, 6 digits and steps of 30 seconds.

Apps know these values only; SHA-1 is sound in an HMAC.
"""

from hmac import compare_digest
from time import time

import pyotp
import segno

# A code of the step before or after counts, too: clocks differ, and typing takes a while.
_TOLERANCE = 1

ISSUER = "lesionserve"


def new_secret() -> str:
    """Return 160 random bits in base32."""
    return pyotp.random_base32(32)


def step_of(secret: str, code: str) -> int | None:
    """Return the time step whose code this is, or None for a wrong code."""
    totp = pyotp.TOTP(secret)
    now = int(time()) // totp.interval
    steps = range(now - _TOLERANCE, now + _TOLERANCE + 1)
    expected = {step: totp.generate_otp(step) for step in steps}
    return next((step for step in steps if compare_digest(expected[step], code)), None)


def address_of(secret: str, name: str) -> str:
    """Return the `otpauth:` address that an app reads as a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)


def qr_code_of(address: str) -> str:
    """Return the QR code as the `data:` address of an SVG picture."""
    return segno.make(address).svg_data_uri(scale=5, dark="#000", light="#fff")
