from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.integration.gateway.browser import opened
from tests.integration.gateway.viewer import site


@pytest_asyncio.fixture(loop_scope="module")
async def page(chromium: Browser) -> AsyncIterator[Page]:
    async with viewer_page(chromium) as page:
        yield page


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting_page(chromium: Browser) -> AsyncIterator[Page]:
    """A page for many quick tests that leave nothing on it."""
    async with viewer_page(chromium) as page:
        yield page


def viewer_page(chromium: Browser) -> AbstractAsyncContextManager[Page]:
    """Open a page with the viewer's template."""
    size = {"width": 1280, "height": 800}
    return opened(chromium, site.ADDRESS, site.serve, viewport=size, reduced_motion="reduce")
