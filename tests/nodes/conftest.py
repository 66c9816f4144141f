"""Five nodes of Ray, nginx, Redis and a gateway, each in a network namespace of its own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.deploy.errors import Exit
from cluster.launcher.certificates import Authority
from serve_app.paths import ROOT
from tests.faults.stack import Crowd, GatewayProcess, environment, running
from tests.integration.small_bundles import IMAGE, pack_bundle
from tests.nodes.namespaces import inside, network, reason_to_skip
from tests.nodes.profile import write_profile
from tests.nodes.ray_nodes import TOKEN, NodeCluster, Size, read_settings, short_folder
from tests.nodes.report import Report
from tests.nodes.servers import Nginx, missing_programs, running_redis
from tests.waiting import until

# A CPU node has room for all stages but the predictor, twice, and once more while a version rolls.
# A GPU node has room for a predictor only.
SIZES = {
    "head": Size(cpus=0),
    "cpu-1": Size(cpus=18),
    "cpu-2": Size(cpus=18),
    "gpu-1": Size(cpus=1, gpus=1),
    "gpu-2": Size(cpus=1, gpus=1),
}
# A machine of the network on which nothing runs at first.
ADDED = {"gpu-3": Size(cpus=1, gpus=1)}
_UPSTREAM = "http://127.0.0.1:8100"
CLIENTS = 4
PAUSE_S = 0.1  # leaves some of the machine to nodes that start


@dataclass
class Stack:
    """The cluster, and what is around it. version: what was deployed last."""

    cluster: NodeCluster
    nginx: Nginx
    bundles: dict[str, Path]
    folder: Path
    version: str = "1"

    def start(self, machine: str) -> None:
        """Start Ray and nginx on a machine, as its units do after a boot."""
        node = self.cluster.nodes[machine]
        node.kill()
        node.namespace.mend()
        if machine != "head":
            self.nginx.start_on_node(node.namespace)
        self.cluster.start(machine)

    def profile(self, version: str = "1", **predictor: object) -> Path:
        path = self.folder / f"profile-{version}.yaml"
        return write_profile(path, self.bundles[version], **predictor)

    def serve(self, version: str = "1", **predictor: object) -> None:
        """Deploy this version in these sizes, unless they serve already."""
        profile = self.profile(version, **predictor)
        done = self.cluster.run_deploy(profile)
        if done.returncode == Exit.REFUSED and "no room" in done.stderr:
            done = self.cluster.run_deploy(profile, "--stop-first")
        assert done.returncode == Exit.SERVES, done.stderr
        self.version = version
        until(self.cluster.is_whole, 300)

    def heal(self) -> None:
        """Bring the cluster back to the nodes that it begins with, all of them alive."""
        for machine in ADDED:
            self.cluster.nodes[machine].kill()
        for machine in SIZES:
            node = self.cluster.nodes[machine]
            if not node.is_running or not self.cluster.has_joined(machine):
                self.start(machine)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    if reason := reason_to_skip():
        pytest.skip(reason)
    if programs := missing_programs():
        pytest.skip(f"not installed: {', '.join(programs)}")
    with ExitStack() as exits:
        folder = exits.enter_context(short_folder())
        net = exits.enter_context(network())
        front = net.add("front")
        exits.enter_context(inside(front))
        set_sysctl()
        address = exits.enter_context(running_redis(front, folder / "redis"))
        settings = read_settings(ROOT / "configs/nodes.env.example")
        cluster = NodeCluster(net, folder, address, settings)
        for machine, size in {**SIZES, **ADDED}.items():
            cluster.add(machine, size)
        tls = folder / "nginx"
        tls.mkdir()
        nginx = Nginx(tls, Authority.kept_in(tls / "authority"))
        nodes = [node.namespace for node in cluster.workers]
        exits.enter_context(nginx.before(front, nodes))
        bundles = {version: pack_bundle(folder, version) for version in ("1", "2")}
        stack = Stack(cluster, nginx, bundles, folder)
        for machine in SIZES:
            stack.start(machine)
        yield stack


def set_sysctl() -> None:
    """Set what cluster/nginx/sysctl.conf says, in the namespace of this thread."""
    for name, value in read_settings(ROOT / "cluster/nginx/sysctl.conf").items():
        path = Path("/proc/sys") / name.strip().replace(".", "/")
        path.write_text(value.strip())


@pytest.fixture
def healthy(stack: Stack) -> Stack:
    stack.heal()
    return stack


@pytest.fixture
def gateway(healthy: Stack, tmp_path: Path) -> Iterator[GatewayProcess]:
    """Return a gateway with an audit trail of its own, in front of the nodes."""
    with running(environment(tmp_path, _UPSTREAM, LESIONSERVE_SERVICE_TOKEN=TOKEN)) as gateway:
        yield gateway


@pytest.fixture
def start_crowd(gateway: GatewayProcess) -> Iterator[Callable[[], Crowd]]:
    """Start clients that ask until the report is closed."""
    with ExitStack() as exits:
        yield lambda: exits.enter_context(Crowd(gateway, CLIENTS, IMAGE, PAUSE_S))


@pytest.fixture
def report(gateway: GatewayProcess, tmp_path: Path) -> Report:
    return Report(gateway, tmp_path, CLIENTS)
