"""An open loop: requests come at their rate, whether or not the ones before them are answered.

Clients of their own process, so that they can keep to the rate beside a busy stack."""

import asyncio
import json
import sys
import time
from subprocess import PIPE, Popen

import httpx

from tests.faults.stack import IMAGE, Outcome


class Flood:
    """`rate` requests a second for `seconds`, in a process of its own."""

    def __init__(self, url: str, key: str, rate: float, seconds: float) -> None:
        command = [sys.executable, "-m", "tests.faults.flood", url, key, str(rate), str(seconds)]
        self._process = Popen(command, stdout=PIPE, text=True)

    def outcomes(self) -> list[Outcome]:
        output, _ = self._process.communicate(timeout=600)
        assert self._process.returncode == 0
        return [Outcome(*fields) for fields in json.loads(output)]


async def flood(url: str, key: str, rate: float, seconds: float) -> list[Outcome]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        headers={"X-API-Key": key}, limits=limits, timeout=60, trust_env=False
    ) as client:
        began, asked = time.monotonic(), []
        for number in range(round(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            asked.append(asyncio.create_task(_ask(client, url)))
        return await asyncio.gather(*asked)


async def _ask(client: httpx.AsyncClient, url: str) -> Outcome:
    began = time.monotonic()
    try:
        response = await client.post(f"{url}/predict/", files={"file": ("a.jpg", IMAGE)})
    except httpx.TransportError as error:
        print(f"flood: {error!r} after {time.monotonic() - began:.2f} s", file=sys.stderr)
        return Outcome(None, None, time.monotonic() - began)
    if response.status_code != 200:
        assert response.headers["content-type"] == "application/problem+json", response.text
        assert int(response.headers["retry-after"]) > 0
    return Outcome(response.status_code, response.headers["x-request-id"], time.monotonic() - began)


if __name__ == "__main__":
    url, key, rate, seconds = sys.argv[1:]
    outcomes = asyncio.run(flood(url, key, float(rate), float(seconds)))
    print(
        json.dumps([[outcome.status, outcome.request_id, outcome.seconds] for outcome in outcomes])
    )
