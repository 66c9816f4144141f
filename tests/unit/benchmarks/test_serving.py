from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import serving
from benchmarks.load import Answer, Outcome
from benchmarks.peers import contenders
from benchmarks.peers.contenders import DETECTRON2, Setting, Target
from benchmarks.serving import Alone, Workload, turn

NAMES = ["a", "b", "c", "d", "e", "f"]
BUNDLE = Path("bundle")
WORKLOAD = Workload("demo bundle", BUNDLE, [], {1: 2, 16: 32})
PER_CORE, SINGLE = Setting(BUNDLE, 2, 1), Setting(BUNDLE, 1, 2)


def test_each_round_has_every_contender_and_begins_with_another() -> None:
    rounds = [turn(NAMES, number) for number in range(6)]
    assert all(sorted(order) == NAMES for order in rounds)
    assert len({order[0] for order in rounds[::2]}) == 3
    assert len({order[0] for order in rounds[1::2]}) == 3


@pytest.mark.parametrize("other", NAMES[1:])
def test_contender_comes_before_and_after_each_other(other: str) -> None:
    orders = [turn(NAMES, number) for number in range(serving.ROUNDS)]
    before = [order.index("a") < order.index(other) for order in orders]
    assert 1 <= sum(before) <= serving.ROUNDS - 1


@pytest.mark.parametrize(
    ("variable", "document"),
    [("/opt/python", [serving.DOCUMENT]), (None, [])],
    ids=["installed", "missing"],
)
def test_contenders_are_bare_and_behind_django(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, document: list[str]
) -> None:
    if variable is None:
        monkeypatch.delenv(DETECTRON2, raising=False)
    else:
        monkeypatch.setenv(DETECTRON2, variable)
    starts = serving.contestants(BUNDLE, {"LitServe": PER_CORE, "BentoML": SINGLE})
    names = ["lesionserve", "LitServe", "BentoML", "LitServe behind Django"]
    assert list(starts) == [*names, "BentoML behind Django", *document]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Replace processes and loads; return the settings with which peers are started, in order.

    LitServe is faster with a worker for each core, BentoML with a single one.
    """
    started: list[object] = []
    speeds = {("LitServe", 2): 40, ("LitServe", 1): 30, ("BentoML", 2): 20, ("BentoML", 1): 50}

    def fake(name: str) -> contenders.Contender:
        @contextmanager
        def start(setting: Setting) -> Iterator[Target]:
            started.append((name, setting))
            yield Target(f"http://{name}/{setting.workers}")

        return start

    def load(target: Target, workload: Workload, clients: int, count: int) -> Outcome:
        _, _, name, workers = target.url.split("/")
        speed = speeds.get((name, int(workers)), 10)
        return Outcome([Answer(1.0, 0.1, 200)] * count, seconds=count / speed)

    @contextmanager
    def ours(bundle: Path) -> Iterator[Target]:
        yield Target("http://lesionserve/0")

    @contextmanager
    def behind_django(peer: contenders.Contender, setting: Setting) -> Iterator[Target]:
        started.append(("Django", setting))
        yield Target("http://Django/0")

    monkeypatch.delenv(DETECTRON2, raising=False)
    monkeypatch.setattr(contenders, "CORES", 2)
    monkeypatch.setattr(contenders, "lesionserve", ours)
    monkeypatch.setattr(contenders, "behind_django", behind_django)
    monkeypatch.setattr(serving, "PEERS", {name: fake(name) for name in ("LitServe", "BentoML")})
    monkeypatch.setattr(serving, "_load", load)
    monkeypatch.setattr(serving, "measure_alone", lambda workload: Alone([0.02], [0.01], []))
    return started


def test_each_peer_is_compared_with_its_better_setting(started: list[object]) -> None:
    comparison = serving.compare(WORKLOAD)
    assert comparison.trials == {
        "LitServe": {PER_CORE: 40, SINGLE: 30},
        "BentoML": {PER_CORE: 20, SINGLE: 50},
    }
    trials, rounds = started[:4], started[4:]
    assert len(trials) == 4
    assert len(rounds) == 4 * serving.ROUNDS
    assert set(rounds) == {
        ("LitServe", PER_CORE),
        ("BentoML", SINGLE),
        ("Django", PER_CORE),
        ("Django", SINGLE),
    }


def test_every_round_measures_every_contender(started: list[object]) -> None:
    rounds = serving.compare(WORKLOAD).rounds
    assert len(rounds) == serving.ROUNDS == 5
    for measured in rounds:
        assert len(measured.outcomes) == 5
        for outcomes in measured.outcomes.values():
            counts = {clients: len(outcome.answers) for clients, outcome in outcomes.items()}
            assert counts == WORKLOAD.requests
