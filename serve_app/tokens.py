import hmac
import os

from pipeline.errors import Unauthorized
from pipeline.secret_files import SecretFileError, read_secret_files

VARIABLE = "LESIONSERVE_SERVICE_TOKENS"


MIN_LENGTH = 32


class TokenError(Exception):
    """The service tokens cannot be used. `str(error)` names the variable."""


class Tokens:
    """The accepted service tokens: several at once, so that they can be rotated."""

    def __init__(self, *accepted: str) -> None:
        """Raise TokenError where there is none, or one that is too short."""
        if not accepted:
            raise TokenError(f"{VARIABLE} must hold at least one service token")
        if any(len(token) < MIN_LENGTH for token in accepted):
            raise TokenError(f"{VARIABLE}: a service token needs {MIN_LENGTH} characters")
        self._accepted = [token.encode() for token in accepted]

    @classmethod
    def from_environment(cls) -> "Tokens":
        """Return the tokens of the environment variable, or of the file that it names as
        VARIABLE_FILE. Raise TokenError.
        """
        try:
            values = read_secret_files(os.environ, [VARIABLE])
        except SecretFileError as error:
            raise TokenError(str(error)) from None
        listed = values.get(VARIABLE, "").split(",")
        return cls(*(token.strip() for token in listed if token.strip()))

    def check(self, authorization: str | None) -> None:
        """Raise Unauthorized unless this is an accepted Bearer token; compare in constant time."""
        scheme, _, token = (authorization or "").partition(" ")
        candidate = token.strip(" \t").encode()
        matches = [hmac.compare_digest(candidate, accepted) for accepted in self._accepted]
        if scheme.lower() != "bearer" or not any(matches):
            raise Unauthorized("A valid service token is required.", "Bearer")
