"""Ten times what the service can do, for two minutes."""

import statistics
import time

import pytest

from benchmarks.stub import BATCH, Cost, Spec
from tests.faults.flood import Flood
from tests.faults.stack import (
    compare_books,
    finish,
    processes_of,
    resources,
    statuses,
    whole_stack,
)

pytestmark = pytest.mark.faults

# A batch of 8 takes 0.8 s: 10 images a second.
COST = Cost(batch_s=0.2, image_s=0.075)
QUEUE = {"max_ongoing_requests": 3 * BATCH, "max_queued_requests": BATCH}
SECONDS, TIMES = 120, 10
LOOK_S = 5


def test_tenfold_load_is_shed_while_accepted_requests_succeed(tmp_path):
    capacity = COST.capacity()
    # Whoever is admitted finds no more before it than this, and then waits for its own batch.
    longest = (sum(QUEUE.values()) + BATCH) / capacity
    with whole_stack(tmp_path, Spec(cost=COST, predictor=QUEUE)) as (service, gateway):
        watched = {
            "gateway": gateway.process.pid,
            "replica": processes_of(service, "a replica of LesionService")[0].pid,
            "proxy": processes_of(service, "the Serve proxy")[0].pid,
        }
        warming = Flood(gateway.url, gateway.key, capacity, 10).outcomes()
        usual = Flood(gateway.url, gateway.key, capacity / 2, 20).outcomes()
        crowd = Flood(gateway.url, gateway.key, TIMES * capacity, SECONDS)
        looks: dict[str, list[tuple[float, int]]] = {name: [] for name in watched}
        for _ in range(SECONDS // LOOK_S):
            time.sleep(LOOK_S)
            for name, pid in watched.items():
                looks[name].append(resources(pid))
        flooded = crowd.outcomes()
        after = Flood(gateway.url, gateway.key, capacity / 2, 10).outcomes()
        outcomes = warming + usual + flooded + after
        books = compare_books(outcomes, finish(gateway, tmp_path), 0, 0)
    answered = sorted(outcome.seconds for outcome in flooded if outcome.status == 200)
    refused = sorted(outcome.seconds for outcome in flooded if outcome.status != 200)
    p50, p99 = statistics.median(answered), answered[int(len(answered) * 0.99)]
    usual_p99 = sorted(outcome.seconds for outcome in usual)[int(len(usual) * 0.99)]
    print(
        f"flood: {dict(statuses(flooded))}, {len(answered) / SECONDS:.1f} of {capacity:.1f} "
        f"images/s; admitted p50 {p50:.2f} s, p99 {p99:.2f} s (bound {longest:.2f}, at half the "
        f"capacity {usual_p99:.2f}); refused p50 {statistics.median(refused):.3f} s, p99 "
        f"{refused[int(len(refused) * 0.99)]:.3f} s; {books}"
    )
    for name, samples in looks.items():
        print(f"{name}, (MB, open files) each {LOOK_S} s: {[(round(mb), n) for mb, n in samples]}")
    assert set(statuses(flooded)) == {200, 503}
    assert set(statuses(usual + after)) == {200}
    # Their seconds are the machine's; that nobody waits in order to be refused is ours.
    assert statistics.median(refused) < p50
    for samples in looks.values():
        settled, last = samples[len(samples) // 4], samples[-1]
        assert last[0] < settled[0] * 1.1
        assert last[1] < settled[1] * 1.2
