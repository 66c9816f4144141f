from collections.abc import Iterable

from django.utils import timezone

from gateway.database import in_database
from gateway.keys.models import ApiKey
from gateway.keys.token import Token
from pipeline.errors import Unauthorized

# Stands in for what is no token, so that every refusal costs the same. No key has this id.
_NOBODY = Token(id="", secret="")


async def authenticate(headers: Iterable[tuple[bytes, bytes]]) -> ApiKey:
    """The key in `Authorization: Api-Key …` or `X-API-Key`, from the raw headers of ASGI.

    Raises one and the same Unauthorized whatever is wrong with the credential.
    """
    token = _presented(headers) or _NOBODY
    key = await in_database(ApiKey.objects.authenticate, token, timezone.now())
    if key is None:
        raise Unauthorized("A valid API key is required.")
    return key


def _presented(headers: Iterable[tuple[bytes, bytes]]) -> Token | None:
    """None unless there is exactly one credential, well-formed."""
    credentials = [
        (name.lower(), value.decode("latin-1").strip())
        for name, value in headers
        if name.lower() in (b"authorization", b"x-api-key")
    ]
    if len(credentials) != 1:
        return None
    name, value = credentials[0]
    if name == b"authorization":
        scheme, _, value = value.partition(" ")
        if scheme.lower() != "api-key":
            return None
    return Token.parse(value.strip())
