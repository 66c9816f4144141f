"""axe-core, which finds faults of accessibility in a page. npm fetches it into pytest's cache."""

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from playwright.async_api import Page

VERSION = "4.14.1"
# WCAG 2.2 AA, and axe's own best practices.
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def fetch(folder: Path) -> str:
    """Return the script of axe-core, kept in `folder`. Skip the test where npm cannot fetch it."""
    script = folder / f"axe-{VERSION}.js"
    if not script.is_file():
        script.write_text(_packed(folder))
    return script.read_text()


def _packed(folder: Path) -> str:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed, which fetches axe-core (Debian: npm)")
    command = [npm, "pack", "--silent", f"axe-core@{VERSION}", "--pack-destination", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        pytest.skip(f"npm cannot fetch axe-core {VERSION}: {done.stderr[-200:]}")
    with tarfile.open(folder / f"axe-core-{VERSION}.tgz") as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


async def violations(page: Page, script: str, exclude: list[str] | None = None) -> list[str]:
    """Return a line for each fault of the page: the rule, what is wrong, and where."""
    # In a world of its own, which the page's content security policy does not reach.
    devtools = await page.context.new_cdp_session(page)
    frame = (await devtools.send("Page.getFrameTree"))["frameTree"]["frame"]["id"]
    world = await devtools.send("Page.createIsolatedWorld", {"frameId": frame})
    context = {"contextId": world["executionContextId"]}
    await devtools.send("Runtime.evaluate", {"expression": script, **context})
    run = f"""axe.run({{exclude: {exclude or []}}}, {{runOnly: {_TAGS}, preload: false}})
      .then(({{violations}}) => violations.flatMap(({{id, help, nodes}}) => nodes.map((node) =>
        [id, help, node.target.join(" "), node.any.map((it) => it.message)].join(" | "))))"""
    answer = await devtools.send(
        "Runtime.evaluate",
        {"expression": run, "awaitPromise": True, "returnByValue": True, **context},
    )
    assert "exceptionDetails" not in answer, answer
    found: list[str] = answer["result"]["value"]
    return found
