"""Fuzz `pipeline.image`, which reads the bytes of any client, guided by coverage.

    python -m tests.fuzz.decode CORPUS -runs=20000 -seed=1      # any option of libFuzzer

CORPUS is a folder, filled with real and broken images on first use. For any input, the result must
be one of our own errors or the picture that the header describes, and `inspect` must accept every
image that `decode` reads.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pipeline", "PIL"]):
    from pipeline.errors import ImageError
    from pipeline.image.decode import decode
    from pipeline.image.inspect import inspect
    from pipeline.image.limits import ImageLimits

from tests.images import BOMBS, BROKEN, FOREIGN, ORDINARY

# The limits are small, so that an accepted picture is decoded quickly.
LIMITS = ImageLimits(max_bytes=1 << 20, max_pixels=250_000)


def check(data: bytes) -> None:
    try:
        header = inspect(data, LIMITS)
    except ImageError as error:
        refusal = error
    else:
        refusal = None
    try:
        decoded = decode(data, LIMITS)
    except ImageError:
        return
    assert refusal is None, "the gateway refuses an image that the replica decodes"
    info = decoded.info
    assert header.agrees_with(info), "gateway and replica disagree about the image"
    assert decoded.pixels.shape == (info.height, info.width, 3)
    assert decoded.pixels.dtype == "uint8"


def seed(corpus: Path) -> None:
    corpus.mkdir(parents=True, exist_ok=True)
    images = [*ORDINARY.values(), *(data for data, _ in BROKEN.values())]
    images += [*FOREIGN.values(), *BOMBS.values()]
    for number, data in enumerate(images):
        if len(data) <= LIMITS.max_bytes:
            (corpus / f"seed-{number:03d}").write_bytes(data)


def main() -> None:
    seed(Path(sys.argv[1]))
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
