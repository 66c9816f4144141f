import time
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright
from pytest_django import DjangoDbBlocker

from tests.chromium import CHROMIUM, QUIET
from tests.clinics import issue_key
from tests.integration.gateway.browser import opened, opened_in
from tests.integration.gateway.client import Gateway
from tests.integration.gateway.databases import Databases, sqlite_databases
from tests.integration.gateway.ingress import FakeIngress
from tests.integration.gateway.postgres import Postgres, binaries, running_postgres
from tests.integration.gateway.servers import running_gateway, serving


@pytest.fixture(scope="package")
def _ingress() -> Iterator[FakeIngress]:
    fake = FakeIngress()
    with serving(fake, lifespan="off") as fake.port:
        yield fake


@pytest.fixture(scope="package", autouse=True)
def _unblocked(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Let the tasks of a gateway use the database between tests, too.

    Where pytest-django refuses it in the middle of a transaction, Django begins no other on that
    connection: its writes meet locks without waiting for them.
    """
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="package")
def _gateway(_ingress: FakeIngress, django_db_setup: None) -> Iterator[Gateway]:
    with running_gateway(UPSTREAM_URL=f"http://127.0.0.1:{_ingress.port}") as gateway:
        yield gateway


@pytest.fixture
def ingress(_ingress: FakeIngress) -> FakeIngress:
    _ingress.reset()
    return _ingress


@pytest.fixture
def gateway(_gateway: Gateway, ingress: FakeIngress, transactional_db: None) -> Gateway:
    return _gateway


@pytest.fixture
def key(transactional_db: None) -> str:
    """An `X-API-Key` header with a valid key."""
    return f"X-API-Key: {issue_key('a clinic')[1]}"


@pytest.fixture
def one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock of the rate limits: a minute that ends would let one more request in."""
    now = time.time()
    clock = SimpleNamespace(time=lambda: now)
    monkeypatch.setattr("limits.aio.storage.memory.time", clock)


@pytest.fixture(scope="session")
def of_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Databases:
    return sqlite_databases(tmp_path_factory.mktemp("databases"))


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    if (folder := binaries()) is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: postgresql)")
    with running_postgres(folder) as server:
        yield server


# The browser outlives a test, and belongs to one event loop.
@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    if not CHROMIUM.is_file():
        pytest.skip("Chromium is not installed (Debian: chromium-headless-shell)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(CHROMIUM),
            args=QUIET,
            ignore_default_args=["--disable-back-forward-cache"],  # people have it
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def context(chromium: Browser) -> AsyncIterator[BrowserContext]:
    """One context for the pages of a module: opening a page takes mostly loading its scripts, which
    the cache keeps."""
    context = await chromium.new_context()
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(context: BrowserContext, gateway: Gateway) -> AsyncIterator[Page]:
    """The clinician's page, on which no script may fail."""
    async with opened_in(context, f"http://127.0.0.1:{gateway.port}/") as page:
        yield page


@pytest_asyncio.fixture(loop_scope="module")
async def lone_page(chromium: Browser, gateway: Gateway) -> AsyncIterator[Page]:
    """The clinician's page in a context of its own, of which a test may set the clock."""
    async with opened(chromium, f"http://127.0.0.1:{gateway.port}/") as page:
        yield page
