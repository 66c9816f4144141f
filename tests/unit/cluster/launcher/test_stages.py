from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cluster.launcher import stages
from cluster.launcher.stages import Stages


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(stages, "monotonic", lambda: now[0])
    return now


def test_each_stage_is_printed_with_seconds_so_far(clock):
    said: list[str] = []
    shown: list[str] = []

    @contextmanager
    def show(name: str) -> Iterator[None]:
        shown.append(f"begin {name}")
        yield
        shown.append(f"end {name}")

    start = Stages(said.append, show)
    with start.stage("one"):
        clock[0] += 14
        start.tick()
        clock[0] += 1.4
        start.tick()
        start.tick()
    with start.stage("two"):
        clock[0] += 14
        start.tick()
    assert said == ["   0 s  one", "  15 s  still one", "  15 s  two"]
    assert shown == ["begin one", "end one", "begin two", "end two"]
    assert start.elapsed_s == pytest.approx(29.4)
