"""The shipped nginx between a gateway and several nodes, of which some are gone."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from cluster.launcher.certificates import Authority
from cluster.launcher.ports import choose_ports
from gateway.audit.models import Record
from pipeline.schemas import Problem
from tests.clinics import issue_key
from tests.integration.gateway.client import jpeg
from tests.integration.gateway.ingress import FakeIngress
from tests.integration.gateway.ingress import problem as problem_of
from tests.integration.gateway.nginx import Site, before_ingress, before_nodes
from tests.integration.gateway.servers import running_gateway, serving

Nodes = Callable[..., str]


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """Start nginx before nodes whose ingresses listen on these ports, and return its address."""
    with ExitStack() as stack:

        def start(*ports: int) -> str:
            sites = [
                stack.enter_context(before_ingress(tmp_path, port, f"node-{number}"))
                for number, port in enumerate(ports)
            ]
            return stack.enter_context(before_nodes(tmp_path, sites[0].authority, sites))

        yield start


@pytest.fixture
def closed_port() -> int:
    """Return a port on which nothing listens, as on a node without a Serve proxy."""
    return choose_ports([None])[0]


@contextmanager
def hanging_up(after: int = 1) -> Iterator[tuple[int, list[bytes]]]:
    """Listen on a port, and close each connection once `after` bytes came; yield what came."""
    came: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    came.append(connection.recv(65536) if after else b"")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], came
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(30)


def problem(url: str) -> tuple[int, str]:
    response = httpx.post(f"{url}/predict", content=b"image", timeout=30, trust_env=False)
    assert response.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate_json(response.content)
    assert problem.status == response.status_code
    return problem.status, problem.code


def test_all_nodes_get_images(nodes: Nodes, ingress: FakeIngress):
    second = FakeIngress()
    with serving(second, lifespan="off") as port:
        url = nodes(ingress.port, port)
        for _ in range(20):
            assert httpx.post(f"{url}/healthz", content=b"x", trust_env=False).is_success
        for fake in (ingress, second):
            fake.answer = lambda sent: (503, b"{}")
        statuses = [httpx.post(f"{url}/predict", trust_env=False).status_code for _ in range(20)]
    assert set(statuses) == {503}
    assert len(ingress.sent) + len(second.sent) == 20, "a refusal was sent to another node"
    assert ingress.sent
    assert second.sent


def test_image_passes_over_node_without_serve_proxy(
    nodes: Nodes, ingress: FakeIngress, closed_port: int
):
    url = nodes(closed_port, ingress.port)
    ingress.answer = lambda sent: (503, b"{}")
    for _ in range(8):
        assert httpx.post(f"{url}/predict", content=b"x", trust_env=False).status_code == 503
    assert [sent.body for sent in ingress.sent] == [b"x"] * 8


def test_node_without_serve_proxy_says_that_image_went_nowhere(nodes: Nodes, closed_port: int):
    url = nodes(closed_port)
    assert problem(url) == (429, "unreached")


def test_nodes_that_refuse_connections_say_that_image_went_nowhere(
    tmp_path: Path, closed_port: int
):
    authority = Authority.kept_in(tmp_path / "tls")
    gone = [Site(port, port, authority) for port in choose_ports([None, None])]
    with before_nodes(tmp_path, authority, gone) as url:
        assert problem(url) == (502, "unreached")


@pytest.fixture
def silent() -> Iterator[int]:
    """Return a port where the kernel takes connections, and nobody answers the TLS handshake."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_node_that_answers_no_handshake_in_time_is_left_out(
    tmp_path: Path, ingress: FakeIngress, silent: int
):
    ingress.answer = lambda sent: (503, b"{}")
    with before_ingress(tmp_path, ingress.port) as good:
        statuses: list[int] = []
        sites = [Site(silent, silent, good.authority), good]
        with before_nodes(tmp_path, good.authority, sites) as url:
            for _ in range(8):
                statuses.append(
                    httpx.post(f"{url}/predict", timeout=30, trust_env=False).status_code
                )
    # Of each five seconds, one image waits a second for the node; the gateway then sends it again.
    assert set(statuses) == {502, 503}
    assert len(ingress.sent) == statuses.count(503)


def test_nodes_that_answer_no_handshake_say_that_image_went_nowhere(tmp_path: Path, silent: int):
    authority = Authority.kept_in(tmp_path / "tls")
    with before_nodes(tmp_path, authority, [Site(silent, silent, authority)]) as url:
        assert problem(url) == (502, "unreached")


def test_node_lost_with_image_is_not_sent_it_again(nodes: Nodes, ingress: FakeIngress):
    ingress.answer = lambda sent: problem_of(sent, 503, "overloaded")
    with hanging_up() as (port, came):
        url = nodes(port, ingress.port)
        answers = [problem(url) for _ in range(6)]
    assert answers.count((502, "interrupted")) == len(came) > 0
    assert answers.count((503, "overloaded")) == len(ingress.sent) == 6 - len(came)


def test_gateway_sends_image_to_other_node(
    nodes: Nodes, ingress: FakeIngress, closed_port: int, transactional_db: None
):
    _, token = issue_key()
    with (
        hanging_up() as (lossy, came),
        running_gateway(UPSTREAM_URL=nodes(lossy, closed_port, ingress.port)) as gateway,
        httpx.Client(trust_env=False, timeout=30) as client,
    ):
        for _ in range(12):
            response = client.post(
                f"http://127.0.0.1:{gateway.port}/predict/",
                files={"file": ("a.jpg", jpeg())},
                headers={"X-API-Key": str(token)},
            )
            assert response.status_code == 200, response.text
    assert len(ingress.sent) == 12
    records = list(Record.objects.values_list("state", "attempts"))
    assert {state for state, _ in records} == {"succeeded"}
    lost = [request for request in came if request.startswith(b"POST /predict")]
    assert sum(attempts - 1 for _, attempts in records) == len(lost) > 0
