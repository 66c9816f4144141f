"""Starts Firefox, and relays WebDriver BiDi between it and Playwright.

Playwright sends `emulation.setMediaFeaturesOverride` for each new context, which Firefox 153 does
not know. The relay answers it where it asks for no media features.
"""

import asyncio
import json
import re
import sys
from asyncio.subprocess import PIPE

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

FIREFOX = "/usr/bin/firefox-esr"
_LISTENING = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")
_UNKNOWN = "emulation.setMediaFeaturesOverride"


async def _main(arguments: list[str]) -> None:
    firefox = await asyncio.create_subprocess_exec(FIREFOX, *arguments, stderr=PIPE)
    assert firefox.stderr is not None
    address = await _address(firefox.stderr)

    async def relay(client: ServerConnection) -> None:
        assert client.request is not None
        url = address + client.request.path
        async with connect(url, max_size=None) as server, asyncio.TaskGroup() as tasks:
            tasks.create_task(_pass(server, client))
            async for message in client:
                answer = _own_answer(json.loads(message))
                await (server.send(message) if answer is None else client.send(answer))

    async with serve(relay, "127.0.0.1", 0, max_size=None) as listener:
        port = next(iter(listener.sockets)).getsockname()[1]
        # Playwright waits for this line.
        print(f"WebDriver BiDi listening on ws://127.0.0.1:{port}", file=sys.stderr, flush=True)
        async for line in firefox.stderr:
            sys.stderr.buffer.write(line)
        await firefox.wait()


async def _address(errors: asyncio.StreamReader) -> str:
    """Return where Firefox listens. Raises RuntimeError where it ends before it says so."""
    async for line in errors:
        if listening := _LISTENING.search(line):
            return listening[1].decode()
        sys.stderr.buffer.write(line)
    raise RuntimeError("Firefox has ended.")


async def _pass(server: ClientConnection, client: ServerConnection) -> None:
    async for message in server:
        await client.send(message)


def _own_answer(command: dict) -> str | None:
    """Return the relay's answer, or None to a command that Firefox answers."""
    if command["method"] != _UNKNOWN or command["params"]["features"]:
        return None
    return json.dumps({"type": "success", "id": command["id"], "result": {}})


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))
