"""What no test may replace: the tests of one process share it with servers in other threads."""

import re

import pytest

from serve_app.paths import ROOT

# monkeypatch.setattr(module.asyncio, "sleep", …) replaces it everywhere. A module that says
# `from asyncio import sleep` has a name of its own, which a test may replace.
_SHARED = "(?:asyncio|random|selectors|socket|threading|time)"
_REPLACED = re.compile(
    rf"""setattr\(\s*(?:[\w.]+\.)?{_SHARED},|(?:setattr|patch)\(\s*["']{_SHARED}\."""
)


@pytest.mark.parametrize(
    "line",
    [
        'monkeypatch.setattr(stages.asyncio, "sleep", fake)',
        'monkeypatch.setattr(time, "monotonic", fake)',
        'monkeypatch.setattr("random.uniform", fake)',
    ],
)
def test_replaced_function_of_the_library_is_seen(line):
    assert _REPLACED.search(line)


def test_no_test_replaces_what_threads_share():
    assert not _REPLACED.search('monkeypatch.setattr(stages, "sleep", fake)')
    tests = [path for path in (ROOT / "tests").rglob("*.py") if path.name != "test_patches.py"]
    assert tests
    assert [path.name for path in tests if _REPLACED.search(path.read_text())] == []
