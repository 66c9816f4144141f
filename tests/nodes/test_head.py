"""The head is lost and comes back, with its state in Redis."""

import time

import pytest

from cluster.deploy.errors import Exit
from tests.waiting import until

pytestmark = pytest.mark.nodes


def test_lost_head_comes_back_without_deployment(healthy, start_crowd, report):
    healthy.serve("1")
    crowd = start_crowd()
    crowd.wait_for(200, 50)
    cluster = healthy.cluster
    before = {replica.name for replica in cluster.running()}
    cluster.head.kill()
    time.sleep(20)
    crowd.wait_for(200, 20)
    healthy.start("head")
    until(cluster.is_whole, 180)
    assert {replica.name for replica in cluster.running()} == before, "replicas were restarted"
    crowd.wait_for(200, 50)
    again = cluster.run_deploy(healthy.profile("1"))
    assert again.returncode == Exit.SERVES, again.stderr
    assert again.stderr.splitlines()[-1].endswith("nothing was changed")
    # Serve is in charge again: it replaces what is lost.
    (replica,) = cluster.running("Predictor")
    (process,) = cluster.processes(replica.machine, "ServeReplica:lesionserve:Predictor")
    process.kill()
    until(lambda: {r.name for r in cluster.running("Predictor")} - {replica.name} != set(), 180)
    crowd.wait_for(200, 50)
    counts = report.close("the head killed, and started again", crowd)
    assert set(counts) <= {200, 503, 504}
