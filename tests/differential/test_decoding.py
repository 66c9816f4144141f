"""Test thousands of files by independent encoders: each is read like in Detectron2, or refused."""

import re
from collections import Counter

import numpy as np
import pytest

from pipeline.errors import ImageError
from pipeline.image.decode import decode
from pipeline.image.inspect import inspect
from tests.detectron2_reader import read_image
from tests.differential import encoders, oddities
from tests.differential.encoders import Case

pytestmark = pytest.mark.skipif(
    bool(encoders.MISSING), reason=f"not installed: {', '.join(encoders.MISSING)}"
)

# Patterns of the messages of files that may be refused, by family. All other files must be read.
REFUSED = {
    "jpegs": ("arithmetic-coded", "unusual chroma sampling"),
    "pngs": (),
    "bmps": ("run-length encoded",),
    "webps": (),
    "turned": (),
    "tiffs": (
        "FillOrder 2",
        "in separate planes",
        "compressed with fax",
        "compressed with compression 34925",  # LZMA
        "(1|4|12|16|32) bits per sample; 8 or 16 are needed",
        "floating-point or signed",
        "samples per pixel",
    ),
}
AT_LEAST = {"jpegs": 600, "pngs": 200, "bmps": 90, "webps": 400, "turned": 50, "tiffs": 600}


@pytest.mark.parametrize(("family", "count"), [("odd_jpegs", 170), ("broken_exif", 300)])
def test_reads_harmless_oddities_correctly(family, count, tmp_path):
    cases = list(getattr(oddities, family)(tmp_path))
    outcomes = {case.name: judge(case, ()) for case in cases}
    wrong = [f"{name}: {outcome}" for name, outcome in outcomes.items() if outcome != "read"]
    assert not wrong, f"{len(wrong)} of {len(cases)}: {wrong[:10]}"
    assert len(cases) >= count


def test_rejects_files_that_lost_pixels(tmp_path):
    cases = list(oddities.lossy(tmp_path))
    outcomes = {case.name: judge(case, ("damaged", "cut off")) for case in cases}
    wrong = [f"{name}: {outcome}" for name, outcome in outcomes.items() if outcome != "refused"]
    assert not wrong, f"{len(wrong)} of {len(cases)}: {wrong[:10]}"
    assert len(cases) >= 300


@pytest.mark.parametrize("family", REFUSED)
def test_reads_or_rejects_files_of_other_encoders(family, tmp_path):
    results: Counter[str] = Counter()
    wrong: list[str] = []
    for case in getattr(encoders, family)(tmp_path):
        outcome = judge(case, REFUSED[family])
        results[outcome] += 1
        if outcome not in ("read", "refused"):
            wrong.append(f"{case.name}: {outcome}")
    assert not wrong, f"{len(wrong)} of {results.total()}: {wrong[:10]}"
    assert results["read"] >= AT_LEAST[family], results


def judge(case: Case, refused: tuple[str, ...]) -> str:
    """Return `read` or `refused` for a correct outcome, and otherwise what is wrong.

    refused: patterns of the messages with which a case may be refused.
    """
    try:
        pixels = decode(case.data).pixels
    except ImageError as error:
        expected = any(re.search(words, str(error)) for words in refused)
        return "refused" if expected else f"is refused: {error}"
    truth = read_image(case.data) if case.truth is None else case.truth[:, :, ::-1]
    if pixels.shape != truth.shape:
        return f"has the shape {pixels.shape}, not {truth.shape}"
    if not np.array_equal(pixels, truth):
        return f"differs by up to {np.abs(pixels.astype(int) - truth).max()}"
    header = inspect(case.data)
    sides = {header.width, header.height}
    return "read" if sides == set(pixels.shape[:2]) else f"has the sides {sides}"
