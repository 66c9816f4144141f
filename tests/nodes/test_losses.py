"""Nodes that are killed or cut off under load."""

import time

import pytest

from tests.waiting import until

pytestmark = pytest.mark.nodes
TWO = {"min_replicas": 2, "target_ongoing_requests": 50}


def test_only_predictor_is_replaced_on_other_node(healthy, start_crowd, report):
    healthy.serve("1")
    crowd = start_crowd()
    crowd.wait_for(200, 20)
    (predictor,) = healthy.cluster.running("Predictor")
    healthy.cluster.nodes[predictor.machine].kill()
    crowd.wait_for(200, 50)
    (successor,) = healthy.cluster.running("Predictor")
    assert successor.machine != predictor.machine
    counts = report.close("the node of the only predictor killed", crowd)
    # What was on the way waits for the successor, until its deadline.
    assert set(counts) <= {200, 503, 504}


@pytest.mark.parametrize("machine", ["cpu-2", "gpu-1"])
def test_killed_node_loses_no_request(healthy, start_crowd, report, machine):
    healthy.serve("1", **TWO)
    crowd = start_crowd()
    crowd.wait_for(200, 50)
    healthy.cluster.nodes[machine].kill()
    until(lambda: not healthy.cluster.has_joined(machine), 120)
    crowd.wait_for(200, 50)
    healthy.start(machine)
    until(healthy.cluster.is_whole, 180)
    crowd.wait_for(200, 50)
    counts = report.close(f"{machine} killed, and started again", crowd)
    assert set(counts) == {200}


@pytest.mark.parametrize("machine", ["cpu-2", "gpu-1"])
def test_cut_off_node_loses_no_request(healthy, start_crowd, report, machine):
    healthy.serve("1", **TWO)
    crowd = start_crowd()
    crowd.wait_for(200, 50)
    node = healthy.cluster.nodes[machine]
    node.namespace.cut()
    until(lambda: not healthy.cluster.has_joined(machine), 180)
    crowd.wait_for(200, 50)
    node.namespace.mend()
    # Ray ends a node that was given up as soon as it hears of it; its unit starts it again.
    until(lambda: not node.is_running, 180)
    healthy.start(machine)
    until(healthy.cluster.is_whole, 180)
    crowd.wait_for(200, 50)
    counts = report.close(f"{machine} cut off until it is given up, and back", crowd)
    assert set(counts) == {200}


def test_short_cut_is_survived(healthy, start_crowd, report):
    healthy.serve("1", **TWO)
    crowd = start_crowd()
    crowd.wait_for(200, 50)
    before = {replica.name for replica in healthy.cluster.running()}
    node = healthy.cluster.nodes["cpu-2"]
    node.namespace.cut()
    time.sleep(4)
    node.namespace.mend()
    crowd.wait_for(200, 100)
    counts = report.close("cpu-2 cut off for 4 s", crowd)
    assert node.is_running
    assert set(counts) == {200}
    assert {replica.name for replica in healthy.cluster.running()} == before
