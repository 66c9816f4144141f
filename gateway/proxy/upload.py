import re

from django.utils.http import parse_header_parameters

from pipeline.errors import BadRequest

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_MAX_PART_HEADER = 4096


def read_upload(content_type: str, body: bytes) -> bytes:
    """The content of the one part, a file named `file`, of a multipart/form-data body (RFC 7578).

    Strict, because there is only one good shape: no text fields, no second file, no preamble,
    no transfer encoding, and the closing boundary in its place. The file's name and type are
    not looked at. Raises BadRequest.
    """
    boundary = b"--" + _boundary(content_type)
    closing = b"\r\n" + boundary + b"--"
    end = body.rfind(closing)
    if not body.startswith(boundary + b"\r\n") or end < 0:
        raise BadRequest("The multipart body does not begin and end with its boundary.")
    if body[end + len(closing) :].strip(b"\r\n"):
        raise BadRequest("The multipart body goes on after its closing boundary.")
    head = len(boundary) + 2
    start = body.find(b"\r\n\r\n", head, min(end, head + _MAX_PART_HEADER))
    if start < 0:
        raise BadRequest("The multipart body holds no part, or one with too long a header.")
    if body.find(b"\r\n" + boundary, start) != end:
        raise BadRequest("The multipart body holds more than one part.")
    _check_part(body[head:start].decode("latin-1"))
    return body[start + 4 : end]


def _boundary(content_type: str) -> bytes:
    boundary = _parameters(content_type).get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise BadRequest("The multipart boundary is missing or malformed.")
    return boundary.encode("ascii")


def _check_part(head: str) -> None:
    headers: dict[str, str] = {}
    for line in head.split("\r\n"):
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if not colon or name in headers:
            raise BadRequest("A multipart header is malformed or repeated.")
        headers[name] = value.strip()
    disposition = headers.get("content-disposition", "")
    parameters = _parameters(disposition)
    if not disposition.lower().startswith("form-data;") or parameters.get("name") != "file":
        raise BadRequest("The image must be in the part named 'file'.")
    if not parameters.get("filename"):
        raise BadRequest("The part 'file' must be a file: it has no file name.")
    encoding = headers.get("content-transfer-encoding", "binary").lower()
    if encoding not in ("binary", "8bit", "7bit"):
        raise BadRequest("The part 'file' must not have a transfer encoding.")


def _parameters(header: str) -> dict[str, str]:
    try:
        return parse_header_parameters(header)[1]
    except ValueError:
        raise BadRequest("A multipart header is malformed.") from None
