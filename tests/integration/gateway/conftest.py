from collections.abc import Iterator

import pytest

from tests.clinics import issue_key
from tests.integration.gateway.client import Gateway
from tests.integration.gateway.ingress import FakeIngress
from tests.integration.gateway.servers import running_gateway, serving


@pytest.fixture(scope="session")
def _ingress() -> Iterator[FakeIngress]:
    fake = FakeIngress()
    with serving(fake, lifespan="off") as fake.port:
        yield fake


@pytest.fixture(scope="session")
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
