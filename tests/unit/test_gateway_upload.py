from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.upload import read_upload
from pipeline.errors import BadRequest

PLAIN = "multipart/form-data; boundary=b"


def body(content: bytes = b"bytes", *headers: str, boundary: str = "b") -> bytes:
    lines = headers or ('Content-Disposition: form-data; name="file"; filename="a.jpg"',)
    head = "\r\n".join([f"--{boundary}", *lines])
    return f"{head}\r\n\r\n".encode() + content + f"\r\n--{boundary}--\r\n".encode()


@given(st.binary().filter(lambda content: b"\r\n--b" not in content))
def test_the_file_comes_out_as_it_went_in(content):
    assert read_upload(PLAIN, body(content)) == content


@given(st.binary())
def test_no_body_does_anything_but_read_or_be_refused(content):
    with suppress(BadRequest):
        assert isinstance(read_upload(PLAIN, content), bytes)


def test_a_quoted_boundary_with_a_space_is_read():
    quoted = 'multipart/form-data; charset=x; boundary="a b"'
    assert read_upload(quoted, body(boundary="a b")) == b"bytes"


def test_the_part_may_say_more_of_itself():
    disposition = 'content-disposition: Form-Data; name=file; filename="a;b\\"c.jpg"'
    lines = (disposition, "Content-Type: text/html", "Content-Transfer-Encoding: binary")
    assert read_upload(PLAIN, body(b"x", *lines)) == b"x"


@pytest.mark.parametrize(
    "type_",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        f"multipart/form-data; boundary={'b' * 71}",
        "multipart/form-data; boundary=a\nb",
        "multipart/form-data; boundary=é",
        "multipart/form-data; boundary*=nonsense''b",
    ],
)
def test_a_missing_or_malformed_boundary_is_refused(type_):
    with pytest.raises(BadRequest, match=r"boundary|header"):
        read_upload(type_, body())


@pytest.mark.parametrize(
    "header",
    [
        "no colon",
        "Content-Type: image/jpeg",
        'Content-Disposition: attachment; name="file"; filename="a"',
        'Content-Disposition: form-data; name="FILE"; filename="a"',
        'Content-Disposition: form-data; filename="file"',
        "Content-Disposition: form-data; name=\"file\"; filename*=nonsense''a",
    ],
)
def test_a_part_that_is_no_file_named_file_is_refused(header):
    with pytest.raises(BadRequest):
        read_upload(PLAIN, body(b"x", header))


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"--b",
        b"--b--",
        b"--b--\r\n",
        b"--b\r\n--b--",
        b"--b\r\n\r\n--b--",
        b"\r\n" + body(),
        body()[:-8],
        body() + body(),
        body().replace(b"\r\n", b"\n"),
    ],
)
def test_a_frame_with_a_piece_missing_or_too_many_is_refused(written):
    with pytest.raises(BadRequest):
        read_upload(PLAIN, written)
