"""Debian's Firefox, driven by Playwright over WebDriver BiDi."""

import shlex
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.async_api import Browser, Error, Page, async_playwright

from serve_app.paths import ROOT
from tests.integration.gateway.browsers.firefox_relay import FIREFOX
from tests.integration.gateway.browsers.tab import PATIENCE_S, Place, Tab


class FirefoxTab:
    def __init__(self, page: Page) -> None:
        self.page = page

    async def open(self, url: str) -> None:
        await self.page.goto(url)

    async def run(self, function: str, *arguments: Any) -> Any:
        call = f"(given) => ({function})(...given)"
        try:
            return await self.page.evaluate(call, list(arguments))
        except Error as error:
            if "context was destroyed" not in error.message:
                raise
        # The page was left meanwhile, so the next one is asked.
        await self.page.wait_for_load_state()
        return await self.page.evaluate(call, list(arguments))

    async def click(self, selector: str) -> None:
        await self.page.locator(selector).first.click()

    async def fill(self, selector: str, text: str) -> None:
        await self.page.locator(selector).first.fill(text)

    async def choose(self, selector: str, paths: Sequence[Path]) -> None:
        await self.page.locator(selector).first.set_input_files(paths)

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.page.keyboard.press(key)

    async def drag(self, selector: str, start: Place, end: Place) -> None:
        box = await self.page.locator(selector).first.bounding_box()
        assert box is not None
        x, y, width, height = box["x"], box["y"], box["width"], box["height"]
        mouse = self.page.mouse
        await mouse.move(x + start[0] * width, y + start[1] * height)
        await mouse.down()
        await mouse.move(x + end[0] * width, y + end[1] * height, steps=4)
        await mouse.up()

    async def resize(self, width: int, height: int) -> None:
        await self.page.set_viewport_size({"width": width, "height": height})

    async def back(self) -> None:
        await self.page.go_back()

    async def other(self) -> Tab:
        pages = self.page.context.pages
        if len(pages) < 2:
            await self.page.context.wait_for_event("page")
        tab = self.page.context.pages[-1]
        await tab.wait_for_load_state()
        return FirefoxTab(tab)


class Firefox:
    name = "firefox"

    def missing(self) -> str | None:
        if Path(FIREFOX).is_file():
            return None
        return "Firefox is not installed (Debian: firefox-esr)"

    @asynccontextmanager
    async def tab(self, is_dark: bool = False) -> AsyncIterator[Tab]:
        async with launched(is_dark) as browser:
            context = await browser.new_context(viewport={"width": 1440, "height": 900})
            context.set_default_timeout(PATIENCE_S * 1000)
            yield FirefoxTab(await context.new_page())


@asynccontextmanager
async def launched(is_dark: bool = False) -> AsyncIterator[Browser]:
    """Start Firefox behind the relay."""
    module = "tests.integration.gateway.browsers.firefox_relay"
    with TemporaryDirectory() as folder:
        program = Path(folder) / "firefox"
        command = f"cd {shlex.quote(str(ROOT))} && exec {shlex.quote(sys.executable)} -m {module}"
        program.write_text(f'#!/bin/sh\n{command} "$@"\n')
        program.chmod(0o755)
        async with async_playwright() as playwright:
            browser = await playwright.firefox.launch(
                channel="moz-firefox",
                executable_path=program,
                firefox_user_prefs={"ui.systemUsesDarkTheme": int(is_dark)},
            )
            try:
                yield browser
            finally:
                await browser.close()
