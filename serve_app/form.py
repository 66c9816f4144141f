from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from pipeline.errors import BadRequest


def file_of(body: bytes, content_type: str) -> bytes:
    """The content of `file`, the one part that a form may have; its file name is not kept.

    Raises BadRequest for every other form.
    """
    _, parameters = parse_options_header(content_type)
    boundary = parameters.get(b"boundary")
    if not boundary:
        raise BadRequest("The form's boundary is missing.")
    form = _Form()
    try:
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise BadRequest("The form is malformed.") from error
    return form.file()


class _Form:
    """Collects what the parser reports, and refuses what is not one file at once."""

    def __init__(self) -> None:
        self._content: bytearray | None = None
        self._name = bytearray()
        self._value = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._complete = False

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._on_part_begin,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_end": self._on_end,
        }

    def file(self) -> bytes:
        if self._content is None:
            raise BadRequest("The form holds no `file`.")
        if not self._complete:
            raise BadRequest("The form is cut off before its closing boundary.")
        return bytes(self._content)

    def _on_part_begin(self) -> None:
        if self._content is not None:
            raise BadRequest("The form holds more than one part; post `file` alone.")
        self._content = bytearray()

    def _on_header_end(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name, self._value = bytearray(), bytearray()

    def _on_headers_finished(self) -> None:
        _, disposition = parse_options_header(self._headers.get(b"content-disposition"))
        if disposition.get(b"name") != b"file" or b"filename" not in disposition:
            raise BadRequest("The form's part is not a file named `file`.")
        encoding = self._headers.get(b"content-transfer-encoding", b"binary").lower()
        if encoding not in (b"binary", b"8bit", b"7bit"):
            raise BadRequest("The form's file must not be encoded for transfer.")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        assert self._content is not None, "the parser begins a part before its data"
        self._content += data[start:end]

    def _on_end(self) -> None:
        self._complete = True
