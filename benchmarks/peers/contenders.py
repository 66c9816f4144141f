import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers.environment import interpreter
from benchmarks.peers.process import output, server
from cluster.launcher.options import StackOptions
from cluster.launcher.ports import choose_ports
from cluster.launcher.startup import running_stack
from cluster.paths import LOCAL_PROFILE
from pipeline.bundle.manifest import read_manifest
from serve_app.paths import ROOT

LOGS = ROOT / "out" / "benchmarks" / "serving"
CORES = os.cpu_count() or 1
DETECTRON2 = "LESIONSERVE_DETECTRON2_PYTHON"


@dataclass(frozen=True, slots=True)
class Target:
    """The URL at which a contender takes images, and the headers it asks for."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Setting:
    """Hold what a peer is started with: the bundle, and the number and threads of its workers."""

    bundle: Path
    workers: int
    threads: int

    def __str__(self) -> str:
        return f"workers: {self.workers}, threads of each: {self.threads}"

    def environment(self) -> dict[str, str]:
        return {
            "BENCHMARK_BUNDLE": str(self.bundle.resolve()),
            "BENCHMARK_WORKERS": str(self.workers),
            "BENCHMARK_THREADS": str(self.threads),
            "OMP_NUM_THREADS": str(self.threads),
        }


def settings(bundle: Path) -> list[Setting]:
    """Return the settings of which a peer gets the better one.

    LitServe and BentoML advise a worker of one thread for each core. The other is one worker that
    has all cores.
    """
    return [Setting(bundle, CORES, 1), Setting(bundle, 1, CORES)]


Contender = Callable[[Setting], AbstractContextManager[Target]]


@contextmanager
def lesionserve(bundle: Path, profile: Path = LOCAL_PROFILE) -> Iterator[Target]:
    """Run what `lesionserve up` does: the gateway with keys and audit records, and Ray Serve."""
    options = StackOptions(config=profile, bundle=bundle, dashboard=False)
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
def behind_django(peer: Contender, setting: Setting) -> Iterator[Target]:
    """Run the peer behind the gateway that its user has to build: keys and audit rows."""
    with tempfile.TemporaryDirectory(prefix="gateway-") as folder, peer(setting) as target:
        inference = target.url.removesuffix("/predict")
        with audited_gateway(inference, Path(folder) / "audit.sqlite3") as gateway:
            yield gateway


@contextmanager
def audited_gateway(inference: str, database: Path) -> Iterator[Target]:
    """Run `benchmarks.peers.gateway` before the service at the URL `inference`."""
    python = str(interpreter("gateway", engine=False))
    environment = {
        "BENCHMARK_INFERENCE_URL": inference,
        "BENCHMARK_DATABASE": str(database),
        "DJANGO_SETTINGS_MODULE": "benchmarks.peers.gateway.settings",
    }
    key = output([python, "-m", "benchmarks.peers.gateway.create"], environment)
    application = "django.core.wsgi:get_wsgi_application()"
    with _gunicorn(python, application, environment, "audited-gateway.log") as url:
        yield Target(f"{url}/predict/", {"X-API-Key": key})


@contextmanager
def document(bundle: Path) -> Iterator[Target]:
    """Run the document's stack by LESIONSERVE_DETECTRON2_PYTHON, which has Detectron2."""
    python = os.environ[DETECTRON2]
    (port,) = choose_ports([None])
    inference = f"http://127.0.0.1:{port}"
    environment = {
        **Setting(bundle, 1, CORES).environment(),
        "BENCHMARK_CLASSES": ",".join(read_manifest(bundle).class_names),
        "BENCHMARK_INFERENCE_URL": inference,
    }
    module = "benchmarks.peers.document"
    serve = [python, "-m", "uvicorn", f"{module}.inference:app", "--port", str(port)]
    serve += ["--no-access-log"]
    with (
        server(serve, environment, f"{inference}/healthz", LOGS / "document-inference.log"),
        _gunicorn(
            python, f"{module}.gateway:application", environment, "document-gateway.log"
        ) as url,
    ):
        yield Target(f"{url}/predict/")


@contextmanager
def _gunicorn(
    python: str, application: str, environment: Mapping[str, str], log: str
) -> Iterator[str]:
    """Yield the URL of a Django application in gunicorn's synchronous workers."""
    (port,) = choose_ports([None])
    url = f"http://127.0.0.1:{port}"
    command = [python, "-m", "gunicorn", application, "--bind", f"127.0.0.1:{port}"]
    # Gunicorn's own advice: two workers for each core and one more.
    command += ["--workers", str(2 * CORES + 1), "--timeout", "120"]
    with server(command, environment, f"{url}/healthz", LOGS / log):
        yield url
