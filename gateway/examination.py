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


def examination_of(headers: Headers, caller: str, received_at: datetime) -> str:
    """Return a key of the request's examination: 32 hexadecimal digits.

    The client may name the examination in X-Examination-Id, which is never kept: the key is an HMAC
    of it and the caller. Without one, the key is that of the caller and a window of ten minutes.
    Raise BadRequest for a malformed or repeated id.
    """
    ids = values(headers, _NAME)
    if ids and well_formed(ids) is None:
        raise BadRequest(
            f"{HEADER} must be one id of 1 to {MAX_LENGTH} letters, digits and . _ : - that begins "
            "with a letter or digit, the same for all images of an examination."
        )
    window = f"window:{int(received_at.timestamp()) // WINDOW_S}"
    text = f"{caller}\n{f'id:{ids[0]}' if ids else window}"
    key: str = salted_hmac("lesionserve.examination", text, algorithm="sha256").hexdigest()
    return key[:KEY_LENGTH]
