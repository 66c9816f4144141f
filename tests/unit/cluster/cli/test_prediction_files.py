from pathlib import Path

import pytest

from cluster.cli.prediction_files import output_names


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.png", "b.png"], ["a", "b"]),
        (["a.png", "a.bmp", "a-1.png"], ["a-2", "a-3", "a-1"]),
        (["a-1.png", "x/a.png", "y/a.png", "x/a-1.png"], ["a-1-1", "a-1", "a-2", "a-1-2"]),
    ],
)
def test_output_names_are_unique(names: list[str], expected: list[str]) -> None:
    outputs = output_names([Path(name) for name in names])
    assert outputs == expected
    assert len(set(outputs)) == len(outputs)
