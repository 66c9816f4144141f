"""Which images belong to one examination: those of one patient, at one time, are alike.

An examination counts once where images are compared, however many images it has.
"""

from datetime import datetime

from django.utils.crypto import salted_hmac

from gateway.http_headers import Headers, values
from pipeline.errors import BadRequest
from pipeline.http.correlation import MAX_LENGTH, well_formed

HEADER = "X-Examination-Id"
_NAME = HEADER.lower().encode()

# Without an id of the client, a caller's images within this time count as one examination.
WINDOW_S = 600

KEY_LENGTH = 32
# A key begins with one of these. That of a window ends with its number.
_NAMED, _WINDOW = "n", "w"
_NUMBER_DIGITS = 12


def examination_of(headers: Headers, caller: str, received_at: datetime) -> str:
    """Return a key of the request's examination, of KEY_LENGTH characters.

    The client may name the examination in X-Examination-Id, which is never kept: the key is an HMAC
    of it and the caller. Without one, the key is that of the caller and a window of ten minutes.
    Raise BadRequest for a malformed or repeated id.
    """
    ids = values(headers, _NAME)
    if not ids:
        number = int(received_at.timestamp()) // WINDOW_S
        return _window_key(_hmac(caller), number)
    if well_formed(ids) is None:
        raise BadRequest(
            f"{HEADER} must be one id of 1 to {MAX_LENGTH} letters, digits and . _ : - that begins "
            "with a letter or digit, the same for all images of an examination."
        )
    return (_NAMED + _hmac(f"{caller}\n{ids[0]}"))[:KEY_LENGTH]


def window_before(key: str) -> str | None:
    """Return the key of the same caller's window before; None for a named examination.

    An examination without an id may go on from one window into the next.
    """
    if not key.startswith(_WINDOW):
        return None
    caller, number = key[1:-_NUMBER_DIGITS], int(key[-_NUMBER_DIGITS:], 16)
    return _window_key(caller, number - 1)


def _window_key(caller: str, number: int) -> str:
    return f"{_WINDOW}{caller[: KEY_LENGTH - 1 - _NUMBER_DIGITS]}{number:0{_NUMBER_DIGITS}x}"


def _hmac(text: str) -> str:
    digest: str = salted_hmac("lesionserve.examination", text, algorithm="sha256").hexdigest()
    return digest
