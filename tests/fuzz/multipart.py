"""Fuzz `pipeline.http.multipart`, which reads the forms of any client, guided by coverage.

    python -m tests.fuzz.multipart CORPUS -runs=20000 -seed=1      # any option of libFuzzer

An input is a Content-Type up to the first NUL, and then a body. The reader must quickly return a
part of the body, or raise BadRequest. CORPUS is a folder, filled with valid and invalid forms on
first use.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pipeline"]):
    from pipeline.errors import BadRequest
    from pipeline.http.multipart import read_file

from tests.unit.pipeline.http.test_multipart import ALLOWED_BODIES, PLAIN, REFUSED_BODIES

CONTENT_TYPES = [
    PLAIN,
    'Multipart/Form-Data; charset=utf-8; boundary="b"',
    'multipart/form-data; boundary="\\b" ; x="a;b\\"c"',
    "multipart/form-data; boundary*=utf-8''b; boundary=b",
    "multipart/form-data; boundary=b; boundary=b",
]


def check(data: bytes) -> None:
    content_type, _, body = data.partition(b"\0")
    try:
        content = read_file(content_type.decode("latin-1"), body)
    except BadRequest as error:
        content, message = None, str(error)
    if content is None:
        assert len(message) < 300
        assert message.isprintable()
        return
    assert isinstance(content, bytes)
    assert b"\r\n" + content + b"\r\n--" in body, "the content is not a part of the body"


def seed(corpus: Path) -> None:
    corpus.mkdir(parents=True, exist_ok=True)
    bodies = [*ALLOWED_BODIES.values(), *(body for body, _ in REFUSED_BODIES.values())]
    inputs = [(PLAIN, body) for body in bodies]
    inputs += [(content_type, bodies[0]) for content_type in CONTENT_TYPES]
    for number, (content_type, body) in enumerate(inputs):
        (corpus / f"seed-{number:03d}").write_bytes(content_type.encode() + b"\0" + body)


def main() -> None:
    seed(Path(sys.argv[1]))
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
