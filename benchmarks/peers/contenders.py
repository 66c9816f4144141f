import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers.environment import interpreter
from benchmarks.peers.process import server
from cluster.launcher.options import StackOptions
from cluster.launcher.ports import choose_ports
from cluster.launcher.startup import running_stack
from cluster.paths import LOCAL_PROFILE
from pipeline.bundle.manifest import read_manifest
from serve_app.paths import ROOT

LOGS = ROOT / "out" / "benchmarks" / "serving"
DETECTRON2 = "LESIONSERVE_DETECTRON2_PYTHON"


@dataclass(frozen=True, slots=True)
class Target:
    """The URL at which a contender takes images, and the headers it asks for."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Setting:
    """The bundle and the threads of each worker that a contender is started with."""

    bundle: Path
    threads: int

    def environment(self) -> dict[str, str]:
        threads = str(self.threads)
        return {
            "BENCHMARK_BUNDLE": str(self.bundle.resolve()),
            "BENCHMARK_TORCH_THREADS": threads,
            "BENCHMARK_WORKERS": str(max(1, (os.cpu_count() or 1) // self.threads)),
            "OMP_NUM_THREADS": threads,
        }


Contender = Callable[[Setting], AbstractContextManager[Target]]


@contextmanager
def lesionserve(setting: Setting, profile: Path = LOCAL_PROFILE) -> Iterator[Target]:
    """Run what `lesionserve up` does: the gateway with keys and audit records, and Ray Serve."""
    options = StackOptions(config=profile, bundle=setting.bundle, dashboard=False)
    with running_stack(options, lambda _line: None) as stack:
        yield Target(f"{stack.gateway_url}/predict/", {"X-API-Key": stack.api_key})


@contextmanager
def litserve(setting: Setting) -> Iterator[Target]:
    (port,) = choose_ports([None])
    environment = {**setting.environment(), "BENCHMARK_PORT": str(port)}
    url = f"http://127.0.0.1:{port}"
    command = [str(interpreter("litserve")), "-m", "benchmarks.peers.litserve.server"]
    with server(command, environment, f"{url}/health", LOGS / "litserve.log"):
        yield Target(f"{url}/predict")


@contextmanager
def bentoml(setting: Setting) -> Iterator[Target]:
    (port,) = choose_ports([None])
    environment = {**setting.environment(), "BENTOML_DO_NOT_TRACK": "True"}
    url = f"http://127.0.0.1:{port}"
    command = [str(interpreter("bentoml")), "-m", "bentoml", "serve"]
    command += ["benchmarks.peers.bentoml.server:Lesions", "--host", "127.0.0.1"]
    command += ["--port", str(port)]
    with server(command, environment, f"{url}/readyz", LOGS / "bentoml.log"):
        yield Target(f"{url}/predict")


@contextmanager
def document(setting: Setting) -> Iterator[Target]:
    """Run the document's stack by LESIONSERVE_DETECTRON2_PYTHON, which has Detectron2."""
    python = os.environ[DETECTRON2]
    inference, gateway = (f"http://127.0.0.1:{port}" for port in choose_ports([None] * 2))
    environment = {
        **setting.environment(),
        "BENCHMARK_CLASSES": ",".join(read_manifest(setting.bundle).class_names),
        "BENCHMARK_INFERENCE_URL": inference,
    }
    module = "benchmarks.peers.document"
    port = inference.rpartition(":")[2]
    serve = [python, "-m", "uvicorn", f"{module}.inference:app", "--port", port]
    serve += ["--no-access-log"]
    bind = gateway.removeprefix("http://")
    # Gunicorn's own advice: two workers for each core and one more.
    workers = str(2 * (os.cpu_count() or 1) + 1)
    forward = [python, "-m", "gunicorn", f"{module}.gateway:application", "--bind", bind]
    forward += ["--workers", workers, "--timeout", "120"]
    with (
        server(serve, environment, f"{inference}/healthz", LOGS / "document-inference.log"),
        server(forward, environment, f"{gateway}/healthz", LOGS / "document-gateway.log"),
    ):
        yield Target(f"{gateway}/predict/")
