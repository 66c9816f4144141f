"""Recovery codes: sixteen letters and digits, for the day on which the second factor is lost."""

import base64
import hashlib
import secrets

COUNT = 10
_BYTES = 10  # 80 bits: stored as a plain hash, since nobody guesses them


def new_codes() -> list[str]:
    """Return codes such as `abcd-efgh-2345-jklm`, in base32."""
    return [_written(secrets.token_bytes(_BYTES)) for _ in range(COUNT)]


def digest_of(code: str) -> str:
    """Return the stored form of a code, however it was typed."""
    plain = "".join(letter for letter in code.lower() if letter.isalnum())
    return hashlib.sha256(plain.encode()).hexdigest()


def _written(secret: bytes) -> str:
    text = base64.b32encode(secret).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))
