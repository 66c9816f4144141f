"""The HTTP contract of the ingress, over a graph that is a fake; no Ray, no socket."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import httpx
import pytest

from pipeline.errors import BrokenImage, Overloaded, PredictionFailed, Unavailable
from pipeline.schemas import PredictOptions, Problem
from serve_app.faults import ReplicaLost
from serve_app.routes import Routes
from serve_app.tokens import Tokens
from tests.unit.serve_app.test_stages import app_args

TOKEN, NEXT_TOKEN = "t" * 32, "n" * 32
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
IMAGE = AUTHORIZED | {"Content-Type": "image/png"}


class FakeGraph:
    """Answers `{}`; raises the next of `errors` first, and waits for ever where it hangs."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.calls: list[tuple[str, bytes, PredictOptions]] = []
        self.correlation_ids: list[str | None] = []
        self.hangs = False
        self.loaded = True
        self.cancelled = 0

    async def predict(
        self, request_id: str, data: bytes, options: PredictOptions, correlation_id: str | None
    ) -> bytes:
        self.calls.append((request_id, data, options))
        self.correlation_ids.append(correlation_id)
        if self.errors:
            raise self.errors.pop(0)
        if self.hangs:
            await self._hang()
        return b"{}"

    async def manifest(self) -> dict[str, str]:
        if not self.loaded:
            await self._hang()
        return {"name": "fake"}

    async def golden(self) -> bytes:
        if not self.loaded:
            await self._hang()
        return b'{"cases": []}'

    async def profile(self) -> bytes:
        if not self.loaded:
            await self._hang()
        return b'{"profile": null}'

    async def _hang(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


@pytest.fixture
def graph() -> FakeGraph:
    return FakeGraph()


@pytest.fixture
async def client(graph: FakeGraph) -> AsyncIterator[httpx.AsyncClient]:
    args = app_args(image={"max_bytes": 1000})
    app = Routes(graph, Tokens(TOKEN, NEXT_TOKEN), args).app()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://ingress") as made:
        yield made


def problem(response: httpx.Response, status: int, code: str) -> Problem:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    read = Problem.model_validate_json(response.content)
    assert (read.status, read.code) == (status, code)
    return read


async def test_raw_image_reaches_graph_unchanged(client, graph):
    response = await client.post("/predict", content=b"pixels", headers=IMAGE)
    assert (response.status_code, response.content) == (200, b"{}")
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert graph.calls[0][1:] == (b"pixels", PredictOptions())


async def test_image_of_form_reaches_graph_unchanged(client, graph):
    files = {"file": ("../../x.png", b"\r\n--pixels--\r\n", "image/png")}
    response = await client.post("/predict", files=files, headers=AUTHORIZED)
    assert response.status_code == 200
    assert graph.calls[0][1] == b"\r\n--pixels--\r\n"


async def test_query_parameters_reach_graph_as_options(client, graph):
    query = "masks=polygon&visualization=none&score_threshold=0.5"
    await client.post(f"/predict?{query}", content=b"x", headers=IMAGE)
    expected = PredictOptions(masks="polygon", visualization="none", score_threshold=0.5)
    assert graph.calls[0][2] == expected


@pytest.mark.parametrize(
    ("query", "option"),
    [
        ("masks=yes", "masks"),
        ("visualization=gif", "visualization"),
        ("score_threshold=2", "score_threshold"),
        ("score_threshold=nan", "score_threshold"),
        ("score_threshold=a", "score_threshold"),
        ("score_threshold=", "score_threshold"),
        ("masks=rle&masks=none", "masks"),
        ("mask=rle", "mask"),
    ],
)
async def test_error_names_wrong_option(client, graph, query, option):
    response = await client.post(f"/predict?{query}", content=b"x", headers=IMAGE)
    assert f"'{option}'" in problem(response, 400, "bad_request").detail
    assert graph.calls == []


async def test_thousands_of_options_are_refused(client):
    query = "&".join(f"{number:x}" for number in range(12_000))
    started = monotonic()
    problem(await client.post(f"/predict?{query}", headers=IMAGE), 400, "bad_request")
    assert monotonic() - started < 1


@pytest.mark.parametrize("token", [TOKEN, NEXT_TOKEN])
async def test_each_configured_token_is_accepted(client, token):
    headers = IMAGE | {"Authorization": f"Bearer {token}"}
    assert (await client.post("/predict", content=b"x", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "value", [None, "", "Bearer", "Bearer ", "Basic " + TOKEN, "Bearer " + TOKEN[:-1], "Bearer é"]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/predict"), ("GET", "/model"), ("GET", "/golden"), ("GET", "/profile")],
)
async def test_request_without_valid_token_is_refused(client, graph, value, method, path):
    headers = [(b"authorization", value.encode())] if value is not None else []
    response = await client.request(method, path, headers=headers)
    problem(response, 401, "unauthorized")
    assert response.headers["www-authenticate"] == "Bearer"
    assert graph.calls == []


async def test_well_formed_request_id_is_kept(client, graph):
    headers = IMAGE | {"X-Request-ID": "Ab1._-"}
    await client.post("/predict", content=b"x", headers=headers)
    assert graph.calls[0][0] == "Ab1._-"


@pytest.mark.parametrize("value", ["", "a b", "x" * 65, "a/b", "é"])
async def test_malformed_request_id_is_replaced(client, graph, value):
    headers = [*((k, v) for k, v in IMAGE.items()), ("X-Request-ID", value.encode())]
    await client.post("/predict", content=b"x", headers=headers)
    assert len(graph.calls[0][0]) == 36


async def test_problem_holds_request_id(client):
    headers = IMAGE | {"X-Request-ID": "mine"}
    response = await client.post("/predict?masks=no", content=b"x", headers=headers)
    assert problem(response, 400, "bad_request").request_id == "mine"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (BrokenImage("cut"), 422, "broken_image"),
        (Overloaded("full"), 503, "overloaded"),
        (Unavailable("gone"), 503, "unavailable"),
        (PredictionFailed("no"), 500, "prediction_failed"),
    ],
)
async def test_errors_of_graph_become_problems(client, graph, error, status, code):
    graph.errors = [error]
    response = await client.post("/predict", content=b"x", headers=IMAGE)
    assert problem(response, status, code).detail == str(error)
    assert ("retry-after" in response.headers) == (status == 503)


async def test_correlation_id_reaches_graph_and_answer(client, graph):
    headers = IMAGE | {"X-Correlation-Id": "case-7"}
    response = await client.post("/predict", content=b"x", headers=headers)
    assert response.headers["x-correlation-id"] == "case-7"
    graph.errors = [ReplicaLost("gone")]
    await client.post("/predict", content=b"x", headers=headers)
    without = await client.post("/predict", content=b"x", headers=IMAGE)
    assert "x-correlation-id" not in without.headers
    assert graph.correlation_ids == ["case-7", "case-7", "case-7", None]


@pytest.mark.parametrize("error", [Overloaded("full"), KeyError("unforeseen")])
async def test_problem_holds_correlation_id(client, graph, error):
    graph.errors = [error]
    headers = IMAGE | {"X-Correlation-Id": "case-7"}
    response = await client.post("/predict", content=b"x", headers=headers)
    assert response.headers["x-correlation-id"] == "case-7"
    assert Problem.model_validate_json(response.content).correlation_id == "case-7"
    lost = await client.get("/nowhere", headers=headers)
    assert problem(lost, 404, "not_found").correlation_id == "case-7"


@pytest.mark.parametrize("id_", ["", "a b", "x" * 65, "-a"])
async def test_malformed_correlation_id_is_refused(client, graph, id_):
    response = await client.post(
        "/predict", content=b"x", headers=IMAGE | {"X-Correlation-Id": id_}
    )
    refusal = problem(response, 400, "bad_request")
    assert "X-Correlation-Id" in refusal.detail
    assert refusal.correlation_id is None
    assert graph.calls == []


async def test_unforeseen_error_reveals_no_details(client, graph):
    graph.errors = [KeyError("/secret/path")]
    response = await client.post("/predict", content=b"x", headers=IMAGE)
    assert "secret" not in problem(response, 500, "internal_error").detail


async def test_request_of_lost_replica_is_answered_by_another(client, graph):
    graph.errors = [ReplicaLost("gone")]
    response = await client.post("/predict", content=b"x", headers=IMAGE)
    assert response.status_code == 200
    assert graph.calls[0] == graph.calls[1]


async def test_request_is_tried_at_most_twice(client, graph):
    graph.errors = [ReplicaLost("gone")] * 3
    response = await client.post("/predict", content=b"x", headers=IMAGE)
    problem(response, 502, "poison")
    assert len(graph.calls) == 2


async def test_deadline_ends_request_and_its_calls(client, graph):
    graph.hangs = True
    headers = IMAGE | {"X-Deadline-Ms": "20"}
    response = await client.post("/predict", content=b"x", headers=headers)
    problem(response, 504, "deadline_exceeded")
    assert graph.cancelled == 1


async def test_retry_without_replica_in_time_is_unavailable(client, graph):
    graph.errors, graph.hangs = [ReplicaLost("gone")], True
    headers = IMAGE | {"X-Deadline-Ms": "20"}
    response = await client.post("/predict", content=b"x", headers=headers)
    problem(response, 503, "unavailable")
    assert graph.cancelled == 1


@pytest.mark.parametrize("value", ["", "soon", "-1", "1.5", "1e3", "9" * 10])
async def test_malformed_deadline_is_refused(client, value):
    headers = IMAGE | {"X-Deadline-Ms": value}
    problem(await client.post("/predict", content=b"x", headers=headers), 400, "bad_request")


async def test_announced_body_over_limit_is_refused_unread(client, graph):
    async def endless():
        raise AssertionError("the body was read")
        yield b""

    headers = IMAGE | {"Content-Length": "1001"}
    response = await client.post("/predict", content=endless(), headers=headers)
    problem(response, 413, "image_too_large")


async def test_body_that_grows_over_limit_is_refused(client, graph):
    async def growing():
        for _ in range(1000):
            yield b"x" * 100

    response = await client.post("/predict", content=growing(), headers=IMAGE)
    problem(response, 413, "image_too_large")
    assert graph.calls == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/json"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "image/png", "Content-Encoding": "gzip"},
    ],
)
async def test_bodies_of_other_types_are_unsupported(client, headers):
    response = await client.post("/predict", content=b"x", headers=AUTHORIZED | headers)
    problem(response, 415, "unsupported_image")


def part(name="file", filename='; filename="a"', extra="", content="x"):
    disposition = f'Content-Disposition: form-data; name="{name}"{filename}'
    return f"--B\r\n{disposition}\r\n{extra}\r\n{content}\r\n"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "--B--\r\n",
        "no boundary at all",
        part(),
        part(name="image") + "--B--\r\n",
        part(filename='; name="file"') + "--B--\r\n",
        part() + part() + "--B--\r\n",
        part() + part(name="other", filename="") + "--B--\r\n",
        part(extra="Content-Transfer-Encoding: base64\r\n") + "--B--\r\n",
        part(extra="X-Long: " + "y" * 5000 + "\r\n") + "--B--\r\n",
        part().replace("--B", "--C") + "--C--\r\n",
    ],
)
async def test_form_other_than_one_file_is_refused(client, graph, body):
    headers = AUTHORIZED | {"Content-Type": "multipart/form-data; boundary=B"}
    response = await client.post("/predict", content=body.encode(), headers=headers)
    problem(response, 400, "bad_request")
    assert graph.calls == []


@pytest.mark.parametrize("parameters", ["", "; boundary=", "; boundary=" + "b" * 300])
async def test_form_without_usable_boundary_is_refused(client, parameters):
    headers = AUTHORIZED | {"Content-Type": "multipart/form-data" + parameters}
    response = await client.post("/predict", content=part().encode(), headers=headers)
    problem(response, 400, "bad_request")


async def test_request_beyond_capacity_is_shed_before_graph(client, graph):
    graph.hangs = True
    most = app_args().graph.model.max_requests
    waiting = [
        asyncio.create_task(client.post("/predict", content=b"x", headers=IMAGE))
        for _ in range(most)
    ]
    while len(graph.calls) < most:
        await asyncio.sleep(0)
    response = await client.post("/predict", content=b"x", headers=IMAGE)
    problem(response, 503, "overloaded")
    assert response.headers["retry-after"] == "2"
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    graph.hangs = False
    assert (await client.post("/predict", content=b"x", headers=IMAGE)).status_code == 200


async def test_unknown_paths_and_methods_are_problems(client):
    problem(await client.get("/nowhere"), 404, "not_found")
    problem(await client.post("/predict/", headers=IMAGE), 404, "not_found")
    response = await client.get("/predict")
    problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


async def test_healthz_answers_whatever_model_does(client, graph):
    graph.loaded = False
    assert (await client.get("/healthz")).json() == {"status": "ok"}


async def test_ingress_is_ready_once_model_answers(client):
    assert (await client.get("/readyz")).json() == {"status": "ready"}


async def test_ingress_is_not_ready_while_model_loads(client, graph, monkeypatch):
    monkeypatch.setattr("serve_app.routes._READY_WITHIN_S", 0.01)
    graph.loaded = False
    response = await client.get("/readyz")
    problem(response, 503, "unavailable")
    assert response.headers["retry-after"] == "2"


async def test_busy_model_is_still_ready(client, graph):
    await client.post("/predict", content=b"x", headers=IMAGE)
    graph.loaded = False
    assert (await client.get("/readyz")).status_code == 200


async def test_model_route_returns_manifest(client):
    response = await client.get("/model", headers=AUTHORIZED)
    assert response.json() == {"name": "fake"}


async def test_golden_route_returns_cases_of_graph(client, graph):
    response = await client.get("/golden", headers=AUTHORIZED)
    assert response.json() == {"cases": []}
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"


async def test_profile_route_returns_profile_of_graph(client, graph):
    response = await client.get("/profile", headers=AUTHORIZED)
    assert response.json() == {"profile": None}
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"


async def test_golden_cases_are_unavailable_while_model_loads(graph):
    graph.loaded = False
    app = Routes(graph, Tokens(TOKEN), app_args(deadline={"default_s": 0.01})).app()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ingress") as impatient:
        response = await impatient.get("/golden", headers=AUTHORIZED)
    problem(response, 503, "unavailable")


async def test_two_content_types_are_refused(client):
    headers = [*AUTHORIZED.items(), ("Content-Type", "image/png"), ("Content-Type", "image/png")]
    response = await client.post("/predict", content=b"x", headers=headers)
    problem(response, 415, "unsupported_image")


async def test_body_dropped_by_server_is_refused(client, graph):
    headers = IMAGE | {"Content-Length": "6", "Connection": "Upgrade", "Upgrade": "h2c"}
    response = await client.post("/predict", content=b"", headers=headers)
    assert "Upgrade" in problem(response, 400, "bad_request").detail
    assert graph.calls == []
