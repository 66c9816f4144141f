from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadRequest
from pipeline.http.multipart import media_type, read_file

PLAIN = "multipart/form-data; boundary=b"
DISPOSITION = 'Content-Disposition: form-data; name="file"; filename="a.jpg"'


def body(content: bytes = b"bytes", *headers: str, boundary: str = "b") -> bytes:
    head = "\r\n".join([f"--{boundary}", *(headers or (DISPOSITION,))])
    return f"{head}\r\n\r\n".encode() + content + f"\r\n--{boundary}--\r\n".encode()


def is_free_of_boundary(content: bytes) -> bool:
    lines = content.replace(b"\r", b"\n").split(b"\n")
    return not any(line.startswith(b"--b") for line in lines)


@given(st.binary().filter(is_free_of_boundary))
def test_returns_content_unchanged(content):
    assert read_file(PLAIN, body(content)) == content


@given(st.binary())
def test_any_content_is_read_or_rejected(content):
    with suppress(BadRequest):
        assert isinstance(read_file(PLAIN, content), bytes)


@given(
    st.lists(st.sampled_from([b"--b", b"--", b"\r\n", b"\n", b"\r", b" ", DISPOSITION.encode()]))
)
def test_any_pieces_of_form_are_read_or_rejected(pieces):
    with suppress(BadRequest):
        assert read_file(PLAIN, b"".join(pieces)) in b"".join(pieces)


@given(st.text())
def test_any_content_type_is_read_or_rejected(content_type):
    with suppress(BadRequest):
        read_file(content_type, body())


ALLOWED_BODIES = {
    "CRLF first": b"\r\n" + body(),
    "a preamble": b"This is a message with parts.\r\n\r\n" + body(),
    "an epilogue": body() + b"This is the epilogue.\r\n\r\n",
    "no CRLF at the end": body()[:-2],
    "LF at the end": body()[:-2] + b"\n",
    "padding behind the boundary": body().replace(b"--b\r\n", b"--b \t\r\n"),
    "padding behind the closing boundary": body().replace(b"--b--", b"--b-- \t"),
    "no file name": body(b"bytes", 'Content-Disposition: form-data; name="file"'),
    "an empty file name": body(b"bytes", DISPOSITION.replace("a.jpg", "")),
    "filename* alone": body(
        b"bytes", "Content-Disposition: form-data; name=\"file\"; filename*=UTF-8''%e2%82%ac.jpg"
    ),
    "filename and filename*": body(b"bytes", DISPOSITION + "; filename*=UTF-8''%e2%82%ac.jpg"),
    "filename* of an unknown charset": body(b"bytes", DISPOSITION + "; filename*=nonsense''a"),
    "filename* in pieces": body(b"bytes", DISPOSITION + '; filename*0="a"; filename*1="b"'),
    "folded with a space": body(b"bytes", DISPOSITION.replace("; ", ";\r\n ")),
    "folded with a tab": body(b"bytes", DISPOSITION.replace("; ", ";\r\n\t")),
    "folded before the value": body(b"bytes", DISPOSITION.replace(": ", ":\r\n ")),
    "lower case": body(b"bytes", DISPOSITION.replace("Content-D", "content-d")),
    "upper case": body(
        b"bytes", 'CONTENT-DISPOSITION: FORM-DATA; NAME="file"; FILENAME="a"', "CONTENT-TYPE: x/y"
    ),
    "no space after the colon": body(b"bytes", DISPOSITION.replace(": ", ":")),
    "no spaces at all": body(b"bytes", DISPOSITION.replace(" ", "")),
    "spaces around the equals sign": body(b"bytes", DISPOSITION.replace("=", " = ")),
    "name without quotes": body(b"bytes", DISPOSITION.replace('"file"', "file")),
    "the file name first": body(
        b"bytes", 'Content-Disposition: form-data; filename=a; name="file"'
    ),
    "a file name with spaces and no quotes": body(
        b"bytes", DISPOSITION.replace('"a.jpg"', "my photo.jpg")
    ),
    "a semicolon at the end": body(b"bytes", DISPOSITION + ";"),
    "an empty parameter": body(b"bytes", DISPOSITION.replace("; ", ";; ")),
    "a quoted pair": body(b"bytes", DISPOSITION.replace("a.jpg", 'a;\\"name=\\"b\\".jpg')),
    "a Windows path": body(b"bytes", DISPOSITION.replace("a.jpg", "C:\\dir\\a.jpg")),
    "a backslash before the last quote": body(b"bytes", DISPOSITION.replace("a.jpg", "a\\")),
    "a NUL in the file name": body(b"bytes", DISPOSITION.replace("a.jpg", "a\0b")),
    "a file name in UTF-8": body(b"bytes", DISPOSITION.replace("a.jpg", "müller€.jpg")),
    "other parameters": body(b"bytes", DISPOSITION + '; size=5; creation-date="today"'),
    "other headers": body(b"bytes", DISPOSITION, "Content-Type: text/html", "Content-Length: 5"),
    "headers in another order": body(b"bytes", "Content-Type: image/jpeg", DISPOSITION),
    "binary": body(b"bytes", DISPOSITION, "Content-Transfer-Encoding: BINARY"),
    "8bit": body(b"bytes", DISPOSITION, "content-transfer-encoding: 8bit"),
}


@pytest.mark.parametrize("name", ALLOWED_BODIES)
def test_reads_forms_that_rfc_7578_allows(name):
    assert read_file(PLAIN, ALLOWED_BODIES[name]) == b"bytes"


BOUNDARIES = {
    "70 letters": "b" * 70,
    "75 letters": "-" * 27 + "b" * 48,
    "128 letters": "b" * 128,
    "an asterisk": "***b***",
    "braces": "{5f3c-11}",
    "signs of the standard": "'()+_-./:=?",
    "the end of a closing boundary": "b--",
    "hyphens alone": "----",
}


@pytest.mark.parametrize("name", BOUNDARIES)
@pytest.mark.parametrize("quote", ["", '"'])
def test_reads_usual_boundaries(name, quote):
    boundary = BOUNDARIES[name]
    content_type = f"multipart/form-data; boundary={quote}{boundary}{quote}"
    assert read_file(content_type, body(boundary=boundary)) == b"bytes"


@pytest.mark.parametrize(
    "content_type",
    [
        "Multipart/Form-Data;BOUNDARY=b",
        'multipart/form-data; charset=utf-8; boundary="b"',
        "multipart/form-data; boundary=b; charset=utf-8",
        'multipart/form-data ; boundary = "b" ;',
        'multipart/form-data; boundary="\\b"',
    ],
)
def test_reads_boundary_in_every_notation(content_type):
    assert read_file(content_type, body()) == b"bytes"


@pytest.mark.parametrize("boundary", ["a b", "a,b", "a;b", " b"])
def test_reads_special_characters_in_quoted_boundary(boundary):
    assert read_file(f'multipart/form-data; boundary="{boundary}"', body(boundary=boundary))


@pytest.mark.parametrize(
    ("content_type", "reason"),
    [
        ("multipart/form-data", "no boundary"),
        ("multipart/form-data; boundary=", "no boundary"),
        ('multipart/form-data; boundary=""', "no boundary"),
        (f"multipart/form-data; boundary={'b' * 129}", "more than 128"),
        ("multipart/form-data; boundary=a\nb", "character"),
        ("multipart/form-data; boundary=a b", "character"),
        ('multipart/form-data; boundary="b "', "character"),
        ("multipart/form-data; boundary=é", "character"),
        ("multipart/form-data; boundary=b\xa0", "character"),
        ('multipart/form-data; boundary="b', "malformed"),
        ('multipart/form-data; boundary="b"c', "malformed"),
        ("multipart/form-data; b", "malformed"),
        ("multipart/form-data; boundary*=utf-8''b", "extended"),
        ("multipart/form-data; boundary*0=b", "extended"),
        ("multipart/form-data; boundary=b; boundary*=utf-8''c", "extended"),
        ("multipart/form-data; boundary=b; boundary=c", "twice"),
        ("multipart/form-data; boundary=b; Boundary=b", "twice"),
    ],
)
def test_rejects_unusable_content_type(content_type, reason):
    with pytest.raises(BadRequest, match=reason):
        read_file(content_type, body())


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (["no colon"], "malformed"),
        (["Content-Type: image/jpeg"], "form-data"),
        (['Content-Disposition : form-data; name="file"'], "malformed"),
        ([' Content-Disposition: form-data; name="file"'], "malformed"),
        (['Content-Disposition: attachment; name="file"; filename="a"'], "form-data"),
        (['Content-Disposition: form-data; name="FILE"; filename="a"'], "'file'"),
        (['Content-Disposition: form-data; name="file "'], "'file'"),
        (['Content-Disposition: form-data; name=""'], "'file'"),
        (["Content-Disposition: form-data"], "'file'"),
        (['Content-Disposition: form-data; filename="file"'], "'file'"),
        (['Content-Disposition: form-data; name="file"; name="file"'], "twice"),
        (['Content-Disposition: form-data; name="x"; name="file"'], "twice"),
        (['Content-Disposition: form-data; name="file"; NAME=x'], "twice"),
        (["Content-Disposition: form-data; name=\"file\"; name*=utf-8''x"], "extended"),
        (['Content-Disposition: form-data; name*0="fi"; name*1="le"'], "extended"),
        (['Content-Disposition: form-data; name="file"; filename="a'], "malformed"),
        (['Content-Disposition: form-data; filename="a\\"; name="file"'], "malformed"),
        ([DISPOSITION, DISPOSITION], "repeated"),
        ([DISPOSITION, "content-disposition: form-data"], "repeated"),
        ([DISPOSITION, "X: a\rContent-Disposition: form-data"], "malformed"),
        ([DISPOSITION, "X: a\nContent-Disposition: form-data"], "malformed"),
        ([DISPOSITION, "Content-Transfer-Encoding: base64"], "Content-Transfer-Encoding"),
        ([DISPOSITION, "Content-Transfer-Encoding: quoted-printable"], "Content-Transfer-Enc"),
        ([DISPOSITION, "X: " + "a" * 5000], "4096 bytes"),
    ],
)
def test_rejects_part_with_wrong_headers(headers, reason):
    with pytest.raises(BadRequest, match=reason):
        read_file(PLAIN, body(b"x", *headers))


REFUSED_BODIES = {
    "nothing": (b"", "no line with the boundary"),
    "another boundary": (body(boundary="c"), "no line with the boundary"),
    "the opening boundary alone": (b"--b", "no CRLF"),
    "the closing boundary alone": (b"--b--\r\n", "no part"),
    "nothing between the boundaries": (b"--b\r\n--b--", "no headers"),
    "a part without headers": (b"--b\r\n\r\nbytes\r\n--b--", "malformed"),
    "an empty part": (b"--b\r\n\r\n--b--", "no empty line"),
    "no closing boundary": (body()[:-9], "cut off"),
    "half a closing boundary": (body()[:-3], "other characters"),
    "no empty line": (body().replace(b"\r\n\r\n", b"\r\n"), "no empty line"),
    "no CRLF before the closing boundary": (
        f"--b\r\n{DISPOSITION}\r\n\r\n--b--".encode(),
        "no empty line",
    ),
    "two parts": (body()[:-7] + body(), "more than one part"),
    "two bodies": (body() + body(), "again after"),
    "a part after the closing boundary": (body() + b"--b\r\n\r\n", "again after"),
    "a boundary in the preamble": (b"--b \r\n\r\n" + body(), "more than one|malformed"),
    "LF alone": (body().replace(b"\r\n", b"\n"), "CRLF"),
    "LF before the closing boundary": (body().replace(b"\r\n--b--", b"\n--b--"), "CRLF"),
    "CR before the closing boundary": (body().replace(b"\r\n--b--", b"\r--b--"), "CRLF"),
    "a boundary after LF in the content": (body(b"a\n--b\r\n"), "CRLF"),
    "a boundary after CR in the content": (body(b"a\r--b--"), "CRLF"),
    "a longer boundary in the content": (body(b"a\r\n--bc"), "in the content"),
    "content that begins with the boundary": (body(b"--bc"), "in the content"),
}


@pytest.mark.parametrize("name", REFUSED_BODIES)
def test_rejects_malformed_or_ambiguous_body(name):
    form, reason = REFUSED_BODIES[name]
    with pytest.raises(BadRequest, match=reason):
        read_file(PLAIN, form)


def test_rejection_names_remedy():
    with pytest.raises(BadRequest, match="Send the image as its one part, 'file'"):
        read_file(PLAIN, b"")


def test_media_type_has_no_parameters_and_lower_case():
    assert media_type(" Multipart/Form-Data ; boundary=b") == "multipart/form-data"
    assert media_type("image/png\xa0") != "image/png"
