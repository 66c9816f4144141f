import os
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, connection

from gateway.monitor import lease as module
from gateway.monitor.lease import Claim, Turns, claim_probe, next_turn
from gateway.monitor.models import ProbeLease
from serve_app.paths import ROOT

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = 60.0


def due(in_s: float) -> None:
    """Set when the next probe is due, by the machine's clock."""
    ProbeLease.objects.update(due_at=datetime.now(UTC) + timedelta(seconds=in_s))


def test_first_claim_gets_turn_and_second_waits():
    assert claim_probe(MINUTE) == Claim(0, MINUTE)
    second = claim_probe(MINUTE)
    assert second.turn is None
    assert 0 < second.wait_s <= MINUTE


def test_turns_go_on_once_due():
    claim_probe(MINUTE)
    for turn in (1, 2, 3):
        due(-0.5)
        assert claim_probe(MINUTE).turn == turn


def test_turn_of_process_that_died_costs_one_probe():
    assert claim_probe(MINUTE).turn == 0  # and nothing more is heard of its process
    due(-3600)
    assert claim_probe(MINUTE).turn == 1


@pytest.mark.parametrize(("in_s", "is_due"), [(50, False), (62, False), (70, True), (86_400, True)])
def test_time_beyond_interval_comes_from_clock_set_back(in_s, is_due):
    claim_probe(MINUTE)
    due(in_s)
    assert (claim_probe(MINUTE).turn is not None) == is_due


def test_claim_of_row_that_changed_in_between_is_lost(monkeypatch):
    claim_probe(MINUTE)
    due(-1)
    stale = module._read()
    assert claim_probe(MINUTE).turn == 1
    monkeypatch.setattr(module, "_read", lambda: stale)
    assert claim_probe(MINUTE).turn is None


def test_probe_out_of_turn_leaves_time_of_next():
    claim_probe(MINUTE)
    before = ProbeLease.objects.get().due_at
    assert [next_turn(), next_turn()] == [1, 2]
    lease = ProbeLease.objects.get()
    assert (lease.turn, lease.due_at) == (3, before)


PROCESS = """
import sys, time
import django
from tests import gateway_settings
gateway_settings.DATABASES["default"]["NAME"] = sys.argv[1]
django.setup()
from gateway.monitor.lease import claim_probe
print("ready", flush=True)
ends_at = float(sys.stdin.readline()) + 3
while time.time() < ends_at:
    claim = claim_probe(0.1)
    if claim.turn is not None:
        print(claim.turn, flush=True)
"""


def test_two_processes_share_turns():
    name = str(connection.settings_dict["NAME"])
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.gateway_settings"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, name], env=environment, cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    begun = time.time()
    written = [process.communicate(f"{begun}\n", timeout=60)[0] for process in processes]
    elapsed = time.time() - begun
    assert [process.returncode for process in processes] == [0, 0]
    turns = Counter(turn for lines in written for turn in lines.split())
    assert set(turns.values()) == {1}, "no turn is given twice"
    assert sorted(map(int, turns)) == list(range(len(turns))), "and none is left out"
    assert len(turns) <= elapsed / 0.1 + 1, "and one is given in each interval"


async def test_without_database_process_takes_turn_in_each_interval(monkeypatch):
    def fail(every_s: float) -> Claim:
        raise DatabaseError("away")

    clock = [100.0]
    monkeypatch.setattr(module, "claim_probe", fail)
    monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    turns = Turns(MINUTE)
    assert (await turns.take()).turn is not None
    clock[0] += 59
    assert await turns.take() == Claim(None, 1.0)
    clock[0] += 1
    assert (await turns.take()).turn is not None


async def test_outage_after_claim_waits_for_interval(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    turns = Turns(MINUTE)
    monkeypatch.setattr(module, "claim_probe", lambda every_s: Claim(None, 20.0))
    await turns.take()

    def fail(every_s: float) -> Claim:
        raise DatabaseError("away")

    monkeypatch.setattr(module, "claim_probe", fail)
    assert await turns.take() == Claim(None, 20.0)
