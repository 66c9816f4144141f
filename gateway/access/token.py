import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass
from typing import Self

_FORM = re.compile(r"ls_([0-9a-f]{12})_([0-9a-f]{64})_([0-9a-f]{8})")


@dataclass(frozen=True, slots=True)
class Token:
    """An API key as its holder has it: `ls_<id>_<secret>_<checksum>`, in hex.

    The secret is 256 random bits. The CRC-32 detects typing errors and lets scanners recognise a
    leaked key; it proves nothing.
    """

    id: str
    secret: str

    @classmethod
    def generate(cls) -> Self:
        return cls(id=secrets.token_hex(6), secret=secrets.token_hex(32))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the token, or None where the form or the checksum is wrong."""
        match = _FORM.fullmatch(text)
        if match is None:
            return None
        token = cls(id=match[1], secret=match[2])
        return token if str(token) == text else None

    def __str__(self) -> str:
        body = f"ls_{self.id}_{self.secret}"
        return f"{body}_{zlib.crc32(body.encode()):08x}"

    def digest(self) -> str:
        """Return the stored form of the secret.

        One SHA-256 suffices: slow, salted hashes protect guessable passwords, and 2^256 random
        secrets cannot be guessed, however fast the hash. It also makes a wrong key cheap to refuse.
        """
        return hashlib.sha256(self.secret.encode()).hexdigest()
