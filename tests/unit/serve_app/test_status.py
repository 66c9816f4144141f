import pytest
from ray.serve.schema import DeploymentStatusOverview

from serve_app import status
from serve_app.status import DeploymentState, read_states


class Overview:
    """What `serve.status` returns, with one deployment."""

    def __init__(self, deployment: DeploymentStatusOverview) -> None:
        self.applications = {"lesionserve": self}
        self.deployments = {"Predictor": deployment}


def state_of(monkeypatch: pytest.MonkeyPatch, **changes: object) -> DeploymentState:
    values = {
        "status": "DEPLOY_FAILED",
        "status_trigger": "REPLICA_STARTUP_FAILED",
        "replica_states": {"STARTING": 1},
        "message": "failed to start 3 times in a row. Error:\nBundleError: model.pth is damaged",
    }
    deployment = DeploymentStatusOverview(**(values | changes))
    monkeypatch.setattr(status.serve, "status", lambda: Overview(deployment))
    return read_states("lesionserve")["Predictor"]


def test_stage_whose_replicas_fail_to_start_is_failing(monkeypatch):
    state = state_of(monkeypatch)
    assert state == DeploymentState(
        is_rolling=True, running=0, is_failing=True, reason="model.pth is damaged"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"replica_states": {"RUNNING": 1, "STARTING": 1}},
        {"status": "UPDATING", "status_trigger": "CONFIG_UPDATE_STARTED"},
        {"message": "Error:\nThe actor died because its node has died. Node Id: 4e1f"},
    ],
    ids=["another runs", "starts", "its node died"],
)
def test_stage_that_may_still_start_is_not_failing(monkeypatch, changes):
    assert not state_of(monkeypatch, **changes).is_failing


def test_unknown_application_has_no_states(monkeypatch):
    monkeypatch.setattr(status.serve, "status", lambda: Overview)
    monkeypatch.setattr(Overview, "applications", {}, raising=False)
    assert read_states("lesionserve") == {}
