import json
from pathlib import Path

import pytest

from benchmarks.load import Answer, Outcome
from benchmarks.peers.contenders import Setting
from benchmarks.serving import Alone, Comparison, Outcomes, Round, Workload
from benchmarks.serving_figures import (
    against,
    against_alone,
    one_client,
    pooled,
    result,
    wanted_of,
)

DEMO, R50 = "demo bundle", "R50-FPN"


def outcome(per_second: float, took_s: float = 0.1, failed: int = 0, count: int = 10) -> Outcome:
    answers = [Answer(1.0, took_s, 504 if n < failed else 200) for n in range(count)]
    return Outcome(answers, seconds=(count - failed) / per_second)


def measured(
    ours: Outcome, theirs: Outcome, one: Outcome | None = None, alone_s: float = 0.02
) -> Round:
    outcomes: dict[str, Outcomes] = {
        "lesionserve": {1: one or outcome(10), 16: ours},
        "LitServe": {1: outcome(10), 16: theirs},
    }
    return Round(Alone([alone_s] * 3, [alone_s / 2] * 3, [["LSIL"]]), outcomes)


@pytest.mark.parametrize(
    ("peer", "demo", "r50"),
    [
        ("LitServe", 1.0, 1.0),
        ("BentoML", 1.0, 1.0),
        ("LitServe behind Django", 1.5, 1.05),
        ("BentoML behind Django", 1.5, 1.05),
        ("the document's stack", 4.0, 1.0),
    ],
)
def test_each_kind_of_peer_has_its_target(peer: str, demo: float, r50: float) -> None:
    assert (wanted_of(peer, DEMO), wanted_of(peer, R50)) == (demo, r50)


def test_figures_are_medians_of_the_rounds_own_ratios() -> None:
    rounds = [
        measured(outcome(20), outcome(10)),
        measured(outcome(9, 0.3), outcome(10)),
        measured(outcome(90), outcome(60)),
    ]
    speed, p99 = against("LitServe", DEMO, rounds)
    assert speed.target == "demo bundle: 16 clients against LitServe, images/s"
    assert (speed.wanted, speed.measured, speed.met) == (">= 1", "1.5 (1.2 to 1.75)", True)
    assert (p99.wanted, p99.measured, p99.met) == ("<= 1", "1 (1 to 2)", True)


def test_slower_contender_misses_its_targets() -> None:
    figures = against("LitServe", DEMO, [measured(outcome(9, 0.2), outcome(10))] * 5)
    assert [figure.met for figure in figures] == [False, False]


def test_failed_request_of_ours_misses_whatever_the_speed() -> None:
    rounds = [measured(outcome(90, failed=1), outcome(10))] * 5
    assert {figure.met for figure in against("LitServe", DEMO, rounds)} == {False}
    bytes_to_answer, engine, _ = against_alone(DEMO, rounds)
    assert bytes_to_answer.measured == engine.measured == "5 requests failed"
    assert not bytes_to_answer.met
    assert not engine.met


def test_failed_request_of_a_peer_leaves_nothing_to_compare() -> None:
    figures = against("LitServe", DEMO, [measured(outcome(90), outcome(1, failed=2))] * 5)
    assert {figure.met for figure in figures} == {None}
    assert figures[0].measured == "10 requests of LitServe failed"


def test_contender_without_any_answer_is_reported() -> None:
    nothing = Outcome([Answer(1.0, 0.1, 504)] * 10, seconds=2.0)
    rounds = [measured(nothing, outcome(10), one=nothing)] * 5
    assert not one_client(DEMO, rounds).met
    assert pooled(rounds)["lesionserve"][16]["p99_ms"] is None


@pytest.mark.parametrize(
    ("name", "alone_s", "took_s", "wanted", "met"),
    [
        (DEMO, 0.02, 0.0275, "<= 8 ms", True),
        (DEMO, 0.02, 0.0285, "<= 8 ms", False),
        (R50, 1.0, 1.025, "<= 1.03", True),
        (R50, 1.0, 1.035, "<= 1.03", False),
    ],
    ids=["demo-met", "demo-missed", "r50-met", "r50-missed"],
)
def test_one_client_is_held_to_the_predictor_alone(
    name: str, alone_s: float, took_s: float, wanted: str, met: bool
) -> None:
    alone = measured(outcome(10), outcome(10), one=outcome(10, took_s), alone_s=alone_s)
    figure = one_client(name, [alone] * 5)
    assert (figure.wanted, figure.met) == (wanted, met)


def test_throughput_is_held_to_the_predictor_alone() -> None:
    # The predictor alone: 50 images/s from bytes to answer, 100 of its engine only.
    bytes_to_answer, engine, _ = against_alone(DEMO, [measured(outcome(48), outcome(10))] * 5)
    assert (bytes_to_answer.measured, bytes_to_answer.met) == ("0.96 (0.96 to 0.96)", True)
    assert (engine.measured, engine.met) == ("0.48 (0.48 to 0.48)", False)


def test_result_tells_settings_and_every_round(tmp_path: Path) -> None:
    bundle = Path("bundle")
    trials = {"LitServe": {Setting(bundle, 2, 1): 40.0, Setting(bundle, 1, 2): 30.0}}
    rounds = [measured(outcome(20), outcome(10))] * 5
    workload = Workload(DEMO, bundle, [], {1: 10, 16: 10})
    result("serving-demo", Comparison(workload, trials, rounds)).write(tmp_path)
    document = json.loads((tmp_path / "serving-demo.json").read_text())
    assert len(document["figures"]) == 5
    details = document["details"]
    assert details["settings"] == {"LitServe": "workers: 2, threads of each: 1"}
    assert details["trials"]["LitServe"]["workers: 1, threads of each: 2"] == 30.0
    assert len(details["rounds"]) == 5
    assert details["contenders"]["lesionserve"]["16"]["statuses"] == {"200": 50}
