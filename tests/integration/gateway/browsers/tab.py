"""What the tests do in a browser of whatever engine."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

PATIENCE_S = 60  # two busy cores start a browser and analyse an image
Place = tuple[float, float]  # shares of an element's width and height


class Tab(Protocol):
    """A tab of a browser. An element is named by a CSS selector; the first that matches is meant.

    What needs an element waits until it is visible.
    """

    async def open(self, url: str) -> None:
        """Open a page, and wait until it is loaded."""

    async def run(self, function: str, *arguments: Any) -> Any:
        """Return what a JavaScript function of the page returns, or what its promise becomes."""

    async def click(self, selector: str) -> None:
        """Click on the middle of an element."""

    async def fill(self, selector: str, text: str) -> None:
        """Type a text into a field in place of what is there."""

    async def choose(self, selector: str, paths: Sequence[Path]) -> None:
        """Choose files in a file input, visible or not."""

    async def press(self, *keys: str) -> None:
        """Press keys one after another, by their names in `KeyboardEvent.key`, or "Space"."""

    async def drag(self, selector: str, start: Place, end: Place) -> None:
        """Drag the mouse over an element."""

    async def resize(self, width: int, height: int) -> None:
        """Give the page this size in CSS pixels."""

    async def back(self) -> None:
        """Press the back button."""

    async def other(self) -> "Tab":
        """Return the tab that was opened last beside this one, once there is one."""


class Engine(Protocol):
    """A browser that tests start."""

    name: str

    def missing(self) -> str | None:
        """Return why the browser cannot be started here, or None."""

    def tab(self, is_dark: bool = False) -> AbstractAsyncContextManager[Tab]:
        """Start the browser with a profile of its own and a page of 1440 by 900 CSS pixels."""
