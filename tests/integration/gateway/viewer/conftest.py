from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.integration.gateway.viewer import site


@pytest_asyncio.fixture(loop_scope="module")
async def page(chromium: Browser) -> AsyncIterator[Page]:
    async with opened(chromium) as page:
        yield page


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting_page(chromium: Browser) -> AsyncIterator[Page]:
    """A page for many quick tests that leave nothing on it."""
    async with opened(chromium) as page:
        yield page


@asynccontextmanager
async def opened(chromium: Browser) -> AsyncIterator[Page]:
    """Open a page with the viewer's template, on which no script may fail."""
    context = await chromium.new_context(
        viewport={"width": 1280, "height": 800}, reduced_motion="reduce"
    )
    await site.serve(context)
    complaints: list[str] = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on(
        "console",
        lambda line: complaints.append(line.text) if "Content Security" in line.text else None,
    )
    page = await context.new_page()
    await page.goto(site.ADDRESS)
    yield page
    await context.close()
    assert complaints == []
