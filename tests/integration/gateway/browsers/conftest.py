import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async

from tests.integration.gateway.browsers.firefox import Firefox
from tests.integration.gateway.browsers.steps import Clinic
from tests.integration.gateway.browsers.tab import Engine
from tests.integration.gateway.browsers.webkit import WebKit
from tests.integration.gateway.client import Gateway
from tests.integration.gateway.demo_model import demo_answers
from tests.integration.gateway.ingress import FakeIngress
from tests.integration.gateway.servers import serving
from tests.integration.gateway.test_sessions import person


@pytest.fixture(params=[Firefox(), WebKit()], ids=lambda engine: engine.name)
def engine(request: pytest.FixtureRequest) -> Engine:
    engine: Engine = request.param
    if reason := engine.missing():
        pytest.skip(reason)
    return engine


class PolicyReports:
    """Collect the reports of browsers on what a content security policy stopped."""

    def __init__(self) -> None:
        self.reports: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.reports.append(json.loads(body))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


@pytest.fixture
def reports(settings: Any) -> Iterator[list[Any]]:
    """What the gateway's policy stopped in a browser."""
    server = PolicyReports()
    with serving(server, lifespan="off") as port:
        directives = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
        place = {"report-uri": f"http://127.0.0.1:{port}/"}
        settings.CONTENT_SECURITY_POLICY = {"DIRECTIVES": directives | place}
        yield server.reports


@pytest_asyncio.fixture
async def visitor(
    engine: Engine, gateway: Gateway, ingress: FakeIngress, settings: Any, reports: list[Any]
) -> AsyncIterator[Clinic]:
    """The page with the answers of the demo model, before somebody signs in.

    No script of it may fail, and no policy may stop it.
    """
    # Safari keeps no secure cookie of http://127.0.0.1.
    settings.CSRF_COOKIE_SECURE = settings.SESSION_COOKIE_SECURE = False
    settings.LANGUAGE_COOKIE_SECURE = False
    ingress.answer = demo_answers()
    await sync_to_async(person)("okafor")
    async with engine.tab() as tab:
        clinic = Clinic(tab, f"http://127.0.0.1:{gateway.port}/")
        await clinic.open()
        yield clinic
        assert await clinic.failures() == []
    assert reports == []


@pytest_asyncio.fixture
async def clinic(visitor: Clinic) -> Clinic:
    """The page of a clinician who has signed in."""
    await visitor.sign_in()
    return visitor
