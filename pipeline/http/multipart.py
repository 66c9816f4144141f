"""Read the image from a `multipart/form-data` body (RFC 7578).

The gateway and the ingress both use this module, so they accept the same forms: all that RFC 2046
and RFC 7578 allow of a form with one part. Every body that two readers could interpret differently
is refused: a second boundary line anywhere, lines that do not end with CRLF, and repeated headers
or parameters.
"""

import re
from dataclasses import dataclass
from typing import NoReturn

from pipeline.errors import BadRequest

# The bytes around the image that a body may have: preamble, boundaries, headers, epilogue.
FRAME_BYTES = 16 * 1024

_MAX_BOUNDARY = 128  # RFC 2046 allows 70 characters; samples for Android and Windows send 75
_MAX_HEADER_BYTES = 4096

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # nosec B105, a pattern of RFC 9110
_HEADER = re.compile(rf"({_TOKEN}):(.*)")
# The value is in quotes; or in quotes with a last backslash that the browser did not escape; or
# without quotes.
_PARAMETER = re.compile(
    rf'[ \t]*({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|"([^"]*\\)"(?=[ \t]*\Z)|([^";]*))'
    r"[ \t]*(?:;|\Z)"
)
_SEPARATORS = re.compile(r"[ \t;]*")  # always matches
_BOUNDARY = re.compile(r"[!#-\[\]-~]+")
_QUOTED_BOUNDARY = re.compile(r"[ !#-\[\]-~]*[!#-\[\]-~]")

# Padding is limited, since matching it without a limit takes time.
_LINE_END = re.compile(rb"[ \t]{0,256}\r\n")
_CLOSING_END = re.compile(rb"--[ \t]{0,256}(?:[\r\n]|\Z)")

_ENCODINGS = ("binary", "8bit", "7bit")


@dataclass(frozen=True, slots=True)
class _Value:
    """The value of a parameter, without its quotes."""

    text: str
    quoted: bool


def read_file(content_type: str, body: bytes) -> bytes:
    """Return the content of the part named `file`, the only part that a form may have.

    The name and type of the file are ignored. Raise BadRequest, which says what is wrong.
    """
    boundary = b"--" + _boundary(content_type)
    start, end = _part(body, boundary)
    content = _content_start(body, start, end)
    _check_headers(body[start : max(start, content - 4)].decode("latin-1"))
    return body[content:end]


def media_type(header: str) -> str:
    """Return the media type of a Content-Type header, in lower case and without parameters."""
    return header.partition(";")[0].strip(" \t").lower()


def _part(body: bytes, boundary: bytes) -> tuple[int, int]:
    """Return the start and end offset of the only part, which includes its headers."""
    starts = _boundary_lines(body, boundary)
    if not starts:
        _refuse("the body holds no line with the boundary of its Content-Type")
    if any(start and body[start - 2 : start] != b"\r\n" for start in starts):
        _refuse("a boundary does not follow a line that ends with CRLF")
    after = [start + len(boundary) for start in starts]
    opening = _LINE_END.match(body, after[0])
    if opening is None:
        if _CLOSING_END.match(body, after[0]):
            _refuse("the body holds no part")
        _refuse("the body holds no CRLF after its boundary")
    if len(starts) == 1:
        _refuse("the body is cut off before its closing boundary")
    if _CLOSING_END.match(body, after[1]) is None:
        if _LINE_END.match(body, after[1]):
            _refuse("it holds more than one part; send options as query parameters")
        _refuse("the boundary is also in the content, or is followed by other characters")
    if len(starts) > 2:
        _refuse("the boundary appears again after the closing boundary")
    end = starts[1] - 2
    if opening.end() > end:
        _refuse("the part holds no headers")
    return opening.end(), end


def _boundary_lines(body: bytes, boundary: bytes) -> list[int]:
    """Return the offsets of the first lines, at most three, that begin with the boundary.

    A lone CR or LF ends a line here, since some other readers treat it so.
    """
    starts = [0] if body.startswith(boundary) else []
    for line_end in (b"\r", b"\n"):
        offset = -1
        for _ in range(3):
            offset = body.find(line_end + boundary, offset + 1)
            if offset < 0:
                break
            starts.append(offset + 1)
    return sorted(starts)[:3]


def _content_start(body: bytes, start: int, end: int) -> int:
    """Return the offset of the content, after the part's headers and an empty line."""
    if body.startswith(b"\r\n", start, end):
        return start + 2
    empty_line = body.find(b"\r\n\r\n", start, min(end, start + _MAX_HEADER_BYTES + 4))
    if empty_line < 0:
        if end - start > _MAX_HEADER_BYTES:
            _refuse(f"the part's headers have more than {_MAX_HEADER_BYTES} bytes")
        _refuse("the part has no empty line between its headers and its content")
    return empty_line + 4


def _boundary(content_type: str) -> bytes:
    boundary = _parameters("Content-Type", content_type)[1].get("boundary")
    if boundary is None or not boundary.text:
        _refuse("its Content-Type has no boundary")
    if len(boundary.text) > _MAX_BOUNDARY:
        _refuse(f"its boundary has more than {_MAX_BOUNDARY} characters")
    pattern = _QUOTED_BOUNDARY if boundary.quoted else _BOUNDARY
    if not pattern.fullmatch(boundary.text):
        _refuse("its boundary holds a character that is not allowed in one")
    return boundary.text.encode("ascii")


def _check_headers(text: str) -> None:
    headers: dict[str, str] = {}
    for line in re.sub(r"\r\n(?=[ \t])", "", text).split("\r\n"):  # unfolded
        match = _HEADER.fullmatch(line)
        if match is None or "\r" in line:
            _refuse("a header of the part is malformed, or the part has none")
        name = match[1].lower()
        if name in headers:
            _refuse("a header of the part is repeated")
        headers[name] = match[2].strip(" \t")
    disposition, parameters = _parameters(
        "Content-Disposition", headers.get("content-disposition", "")
    )
    if disposition != "form-data":
        _refuse("the part has no 'Content-Disposition: form-data'")
    if "name" not in parameters or parameters["name"].text != "file":
        _refuse("the part is not named 'file'")
    if headers.get("content-transfer-encoding", "binary").lower() not in _ENCODINGS:
        _refuse("the part has a Content-Transfer-Encoding; send its bytes without an encoding")


def _parameters(header: str, value: str) -> tuple[str, dict[str, _Value]]:
    """Return the value before the parameters, in lower case, and the parameters by name."""
    parameters: dict[str, _Value] = {}
    position = len(value.partition(";")[0])
    while (position := _SEPARATORS.match(value, position).end()) < len(value):  # type: ignore[union-attr]
        match = _PARAMETER.match(value, position)
        if match is None:
            _refuse(f"{header} is malformed")
        name = match[1].lower()
        if name in parameters:
            _refuse(f"{header} has a parameter twice")
        if name.partition("*")[0] in ("name", "boundary") and "*" in name:
            _refuse(f"{header} has an extended parameter ('*'), which is not allowed in a form")
        text = match[3] if match[2] is None else re.sub(r"\\(.)", r"\1", match[2])
        quoted = match[4] is None
        parameters[name] = _Value(text if quoted else match[4].strip(" \t"), quoted)
        position = match.end()
    return media_type(value), parameters


def _refuse(reason: str) -> NoReturn:
    raise BadRequest(
        f"The multipart form cannot be read: {reason}. Send the image as its one part, 'file'."
    )
