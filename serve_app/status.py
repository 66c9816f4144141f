from dataclasses import dataclass

from ray import serve
from ray.serve.schema import DeploymentStatusOverview

# In Ray's message about an actor that was lost with its node.
_NODE_DIED = "its node has died"


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """The state of one deployment, as Serve's controller reports it.

    is_rolling: a version is being deployed, or its deployment failed.
    running: the number of replicas that take requests.
    is_failing: no replica runs, since replicas fail to start. One that was starting on a node that
    died counts as no failure: another node may start it.
    reason: the error of the last replica that failed to start, as one line.
    """

    is_rolling: bool
    running: int
    is_failing: bool
    reason: str


def read_states(application: str) -> dict[str, DeploymentState]:
    """Return the states of an application's deployments by name. Block until Serve answers."""
    overview = serve.status().applications.get(application)
    if overview is None:
        return {}
    return {name: _state(deployment) for name, deployment in overview.deployments.items()}


def _state(deployment: DeploymentStatusOverview) -> DeploymentState:
    running = sum(count for state, count in deployment.replica_states.items() if state == "RUNNING")
    return DeploymentState(
        is_rolling=deployment.status in ("UPDATING", "DEPLOY_FAILED"),
        running=running,
        is_failing=running == 0
        and deployment.status_trigger == "REPLICA_STARTUP_FAILED"
        and _NODE_DIED not in deployment.message,
        reason=last_line(deployment.message),
    )


def last_line(message: str) -> str:
    """Return the message at the end of a traceback, without the name of the error's class."""
    lines = message.strip().splitlines() or [""]
    return lines[-1].split("Error: ", 1)[-1].strip()
