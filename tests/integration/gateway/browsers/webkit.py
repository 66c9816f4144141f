"""Debian's WebKitGTK, which has Safari's engine, driven by Selenium on a screen of its own."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.webkitgtk.options import Options
from selenium.webdriver.webkitgtk.service import Service

from tests.integration.gateway.browsers.tab import PATIENCE_S, Place, Tab

DRIVER = Path("/usr/bin/WebKitWebDriver")
XVFB = Path("/usr/bin/Xvfb")
T = TypeVar("T")
_KEYS = {
    "ArrowDown": Keys.ARROW_DOWN,
    "ArrowLeft": Keys.ARROW_LEFT,
    "ArrowRight": Keys.ARROW_RIGHT,
    "ArrowUp": Keys.ARROW_UP,
    "Enter": Keys.ENTER,
    "Escape": Keys.ESCAPE,
    "Space": Keys.SPACE,
    "Tab": Keys.TAB,
}
_RUN = """
const [given, done] = [[...arguments], arguments[arguments.length - 1]];
Promise.resolve().then(() => (%s)(...given.slice(0, -1)))
  .then((value) => done({ value }), (error) => done({ error: `${error}` }));
"""


class WebKitTab:
    """Selenium blocks, so each command runs in a thread."""

    def __init__(self, driver: webdriver.WebKitGTK, handle: str) -> None:
        self.driver = driver
        self.handle = handle

    async def open(self, url: str) -> None:
        await self._do(lambda: self.driver.get(url))

    async def run(self, function: str, *arguments: Any) -> Any:
        script = _RUN % function
        answer = await self._do(lambda: self.driver.execute_async_script(script, *arguments))
        assert "error" not in answer, answer["error"]
        return answer.get("value")

    async def click(self, selector: str) -> None:
        await self._do(lambda: self._visible(selector).click())

    async def fill(self, selector: str, text: str) -> None:
        def fill() -> None:
            field = self._visible(selector)
            # The driver itself scrolls the page alone, and not what scrolls in it.
            self.driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", field)
            field.clear()
            field.send_keys(text)

        await self._do(fill)

    async def choose(self, selector: str, paths: Sequence[Path]) -> None:
        names = "\n".join(map(str, paths))
        await self._do(lambda: self.driver.find_element(By.CSS_SELECTOR, selector).send_keys(names))

    async def press(self, *keys: str) -> None:
        def press() -> None:
            for key in keys:
                ActionChains(self.driver).send_keys(_KEYS.get(key, key)).perform()

        await self._do(press)

    async def drag(self, selector: str, start: Place, end: Place) -> None:
        def drag() -> None:
            element = self._visible(selector)
            width, height = element.size["width"], element.size["height"]
            # Selenium counts from the middle of an element.
            first, last = (
                (round((x - 0.5) * width), round((y - 0.5) * height)) for x, y in (start, end)
            )
            chain = ActionChains(self.driver)
            chain.move_to_element_with_offset(element, *first).click_and_hold()
            chain.move_to_element_with_offset(element, *last).release().perform()

        await self._do(drag)

    async def resize(self, width: int, height: int) -> None:
        def resize() -> None:
            inner = "return [innerWidth, innerHeight]"
            self.driver.set_window_size(width, height)
            # The window has bars around the page.
            shown_width, shown_height = self.driver.execute_script(inner)
            self.driver.set_window_size(2 * width - shown_width, 2 * height - shown_height)

        await self._do(resize)

    async def back(self) -> None:
        await self._do(self.driver.back)

    async def other(self) -> Tab:
        def newest() -> str:
            handles = _until(lambda: [it for it in self.driver.window_handles if it != self.handle])
            return handles[-1]

        return WebKitTab(self.driver, await self._do(newest))

    def _visible(self, selector: str) -> WebElement:
        def element() -> WebElement | None:
            elements = self.driver.find_elements(By.CSS_SELECTOR, selector)
            return elements[0] if elements and elements[0].is_displayed() else None

        return _until(element)

    async def _do(self, command: Callable[[], T]) -> T:
        def do() -> T:
            if self.driver.current_window_handle != self.handle:
                self.driver.switch_to.window(self.handle)
            return command()

        return await asyncio.to_thread(do)


class WebKit:
    name = "webkit"

    def missing(self) -> str | None:
        if not DRIVER.is_file():
            return "WebKitGTK's driver is not installed (Debian: webkit2gtk-driver)"
        if not XVFB.is_file():
            return "WebKitGTK needs a screen of its own (Debian: xvfb)"
        return None

    @asynccontextmanager
    async def tab(self, is_dark: bool = False) -> AsyncIterator[Tab]:
        options = Options()
        options.add_argument("--automation")
        if is_dark:
            options.add_argument("--dark-mode")
        with screen() as display:
            service = Service(str(DRIVER), env={**os.environ, "DISPLAY": display})
            driver = await asyncio.to_thread(webdriver.WebKitGTK, options, service)
            driver.set_script_timeout(PATIENCE_S)
            try:
                tab = WebKitTab(driver, driver.current_window_handle)
                await tab.resize(1440, 900)
                yield tab
            finally:
                await asyncio.to_thread(driver.quit)


@contextmanager
def screen() -> Iterator[str]:
    """Start an X server without a screen, and return the name of its display."""
    size = ["-screen", "0", "1920x1400x24"]
    reader, writer = os.pipe()
    with os.fdopen(reader) as display:
        server = subprocess.Popen(
            [XVFB, "-displayfd", str(writer), "-nolisten", "tcp", *size],
            pass_fds=[writer],
            stderr=subprocess.DEVNULL,
        )
        os.close(writer)
        try:
            yield f":{display.readline().strip()}"
        finally:
            server.terminate()
            server.wait(30)


def _until(condition: Callable[[], T | None]) -> T:
    """Return what the condition returns once it is true. Raises TimeoutError."""
    end = monotonic() + PATIENCE_S
    while monotonic() < end:
        if value := condition():
            return value
        sleep(0.05)
    raise TimeoutError("The page did not get there.")
