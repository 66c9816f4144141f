"""Coverage-guided fuzzing of `pipeline.image`, the code that every stranger's bytes reach.

    python -m tests.fuzz.decode CORPUS -runs=20000 -seed=1      # any option of libFuzzer

CORPUS is a folder, filled with real and broken images on first use. Whatever comes in: either our
own error or the picture that the header promised, in both halves alike.
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

# Small, so that a picture that is allowed is soon decoded.
LIMITS = ImageLimits(max_bytes=1 << 20, max_pixels=250_000)


def check(data: bytes) -> None:
    try:
        header = inspect(data, LIMITS)
    except ImageError as error:
        told = error
    else:
        told = None
    try:
        decoded = decode(data, LIMITS)
    except ImageError:
        return
    assert told is None, "the gateway refuses what the replica decodes"
    info = decoded.info
    assert header.agrees_with(info), "the halves disagree about the image"
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
