"""Serve a model that only takes time, as a GPU does to the CPU beside it.

Nothing in it is a Mask R-CNN: what is measured over it is the graph, the proxy and the ingress.

`python -m benchmarks.stub SPEC` serves it (SPEC is JSON) until SIGTERM. SIGHUP rolls it to the next
version. While it serves it prints a `StubState` four times a second, as a JSON line.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cluster.launcher.ports import choose_ports
from pipeline.bundle.bundle import WEIGHTS_FILE, Bundle
from pipeline.bundle.golden_check import GoldenCheck
from pipeline.bundle.manifest import Manifest
from pipeline.engines.base import AskedPrecision, DeviceName, Engine, EngineName, Precision
from pipeline.image.resize import ModelInput, Resize
from pipeline.instances import Instances
from serve_app.state_line import StateLine

TOKEN = "benchmark" * 4
AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}
BATCH = 8
_LESIONS = 3
_REPORT_S = 0.25


def _manifest(version: int) -> Manifest:
    return Manifest(
        name="stub",
        version=str(version),
        class_names=["LSIL", "HSIL", "carcinoma"],
        dtype="float32",
        files={WEIGHTS_FILE: "0" * 64},
        python="3.11",
        torch="2.10",
        detectron2=None,
    ).sealed()


@dataclass(frozen=True, slots=True)
class Cost:
    """The seconds that the model takes: by default 80 ms for a full batch of 8, or 100 images/s."""

    batch_s: float = 0.020
    image_s: float = 0.0075

    def capacity(self, batch: int = BATCH) -> float:
        """Return the images per second of one replica that always has a full batch."""
        return batch / (self.batch_s + batch * self.image_s)


class StubEngine:
    name = "stub"
    precision: Precision = "float32"
    num_classes = 3
    max_threads = 1
    remarks: tuple[str, ...] = ()

    def __init__(self, cost: Cost) -> None:
        self._cost = cost

    def predict(self, inputs: Sequence[ModelInput]) -> list[Instances]:
        time.sleep(self._cost.batch_s + len(inputs) * self._cost.image_s)
        return [_instances(*model_input.pixels.shape[:2]) for model_input in inputs]

    def fingerprint(self) -> str:
        return "0" * 64


def _instances(height: int, width: int) -> Instances:
    """Return as many boxes and masks to paste, draw and encode as a usual answer has."""
    corners = np.linspace(0.1, 0.5, _LESIONS, dtype=np.float32)
    boxes = np.stack([corners, corners, corners + 0.3, corners + 0.4], axis=1)
    return Instances(
        boxes=boxes * np.array([width, height] * 2, np.float32),
        scores=np.linspace(0.95, 0.6, _LESIONS, dtype=np.float32),
        classes=np.arange(_LESIONS, dtype=np.int64),
        masks=np.full((_LESIONS, 28, 28), 0.9, np.float32),
    )


@dataclass(frozen=True)
class StubBundle(Bundle):
    cost: Cost

    @property
    def resize(self) -> Resize:
        return Resize(shortest_edge=0, longest_edge=0, channel_order="BGR")

    def load_engine(
        self,
        engine: EngineName = "auto",
        device: DeviceName = "auto",
        precision: AskedPrecision = "float32",
        threads: int | None = None,
    ) -> Engine:
        del engine, device, precision, threads
        return StubEngine(self.cost)

    def golden_check(self, engine: Engine) -> GoldenCheck:
        return GoldenCheck((), self.predictor(engine), threshold=0.5)


def open_stub_bundle(cost: Cost, version: int, path: Path) -> Bundle:
    """Return a fake bundle; with cost and version bound, a stand-in for `open_bundle`."""
    return StubBundle(path, _manifest(version), cost)


@dataclass(frozen=True, slots=True)
class Spec:
    """The applications to serve: one for each number of replicas, at `/{replicas}`.

    predictor: replaces sizes of the deployment that holds the model.
    """

    layout: str = "fused"
    replicas: Sequence[int] = (1,)
    cost: Cost = Cost()
    predictor: Mapping[str, Any] = field(default_factory=dict)
    stages: Mapping[str, Any] = field(default_factory=dict)
    ingress: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 2

    def args(self, replicas: int) -> dict[str, Any]:
        """Return the application's `args`: queues as in gpu.yaml, the least CPU that Ray places."""
        small = {"num_cpus": 0.01, "max_ongoing_requests": 200, "max_queued_requests": 400}
        model = small | {"max_ongoing_requests": 3 * BATCH}
        if "autoscaling" not in self.predictor:
            model |= {"num_replicas": replicas}
        model |= self.predictor
        if self.layout == "fused":
            names = ("max_ongoing_requests", "max_queued_requests")
            queue = {name: model.pop(name) for name in names}
            # The replica lets in more than its pipeline, so that the queue is kept in one place.
            graph = {"ingress": small | model | self.ingress, "pipeline": queue}
        else:
            stage = small | {"num_replicas": 1} | self.stages
            graph = {"ingress": small | {"num_replicas": 1} | self.ingress, "predictor": model}
            graph |= {"preprocess": stage, "postprocess": stage}
        return {
            "model": {"bundle": "nowhere", "threads": 1, "max_batch_size": BATCH},
            "graph": {"layout": self.layout} | graph,
            "threads": self.threads,
        }


class StubState(StateLine):
    """One line of the stub.

    at: time.monotonic(). version: of the model that all replicas have. replicas: those of the
    first application that hold the model and run.
    """

    at: float
    url: str
    version: int
    replicas: int


@dataclass(frozen=True, slots=True)
class Service:
    """A stub that serves. pid: of its driver, whose children are everything else."""

    url: str
    pid: int
    log: Path

    @property
    def states(self) -> list[StubState]:
        return StubState.read_all(self.log.read_text(errors="replace"))


@contextmanager
def serving(spec: Spec, **environment: str) -> Iterator[Service]:
    """Run the stub as a Ray instance of its own."""
    with tempfile.TemporaryDirectory(prefix="ls-", dir="/tmp", ignore_cleanup_errors=True) as temp:
        log = Path(temp) / "driver.log"
        with log.open("wb") as output:
            driver = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.stub", json.dumps(asdict(spec)), temp],
                env={
                    **os.environ,
                    "LESIONSERVE_SERVICE_TOKENS": TOKEN,
                    "RAY_AUTH_MODE": "token",
                    "RAY_AUTH_TOKEN": "r" * 64,
                    # HAProxy's first check of a replica takes longer on two cores than it allows.
                    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
                    **environment,
                },
                stdout=output,
                stderr=output,
            )
        try:
            yield Service(_ready(driver, log), driver.pid, log)
        finally:
            driver.terminate()
            driver.wait(120)


def _ready(driver: "subprocess.Popen[bytes]", log: Path, within_s: float = 120) -> str:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and driver.poll() is None:
        if states := StubState.read_all(log.read_text(errors="replace")):
            return states[0].url
        time.sleep(0.1)
    raise RuntimeError(f"the stub did not start: {log.read_text(errors='replace')[-3000:]}")


def main() -> None:
    # Here, since whoever only asks a service needs no Ray.
    import ray
    from ray import serve

    from benchmarks.stub import open_stub_bundle  # not from __main__: replicas import it by name
    from serve_app.app import wire
    from serve_app.args import AppArgs

    fields, temp = json.loads(sys.argv[1]), sys.argv[2]
    spec = Spec(**fields | {"cost": Cost(**fields["cost"])})
    stopping, rolling = threading.Event(), threading.Event()
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=512 * 1024 * 1024,
        log_to_driver=False,
        _temp_dir=temp,
    )
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGHUP, lambda *_: rolling.set())
    (port,) = choose_ports([None])
    serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})

    def deploy(version: int) -> None:
        applications = []
        for replicas in spec.replicas:
            application = wire(
                AppArgs.model_validate(spec.args(replicas)),
                partial(open_stub_bundle, spec.cost, version),
            )
            applications.append(serve.api.RunTarget(application, f"stub{replicas}", f"/{replicas}"))
        serve.run_many(applications)

    version = 1
    deploy(version)
    url = f"http://127.0.0.1:{port}"
    model = "LesionService" if spec.layout == "fused" else "Predictor"
    while not stopping.wait(_REPORT_S):
        if rolling.is_set():
            rolling.clear()
            version += 1
            deploy(version)
        application = serve.status().applications[f"stub{spec.replicas[0]}"]
        running = application.deployments[model].replica_states.get("RUNNING", 0)
        StubState(at=time.monotonic(), url=url, version=version, replicas=running).print()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
