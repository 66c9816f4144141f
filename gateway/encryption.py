"""Encrypt what the database holds for a while or for ever, with keys made from the secret key."""

import base64

from cryptography.fernet import Fernet
from django.utils.crypto import salted_hmac


def cipher_of(salt: str, name: str) -> Fernet:
    """Return the cipher of one purpose. Its key is derived from LESIONSERVE_SECRET_KEY.

    With another secret key nothing can be decrypted: `decrypt` raises InvalidToken.
    """
    secret = salted_hmac(salt, name, algorithm="sha256").digest()
    return Fernet(base64.urlsafe_b64encode(secret))
