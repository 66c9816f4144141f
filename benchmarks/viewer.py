"""Measure the viewer in Chromium: 100 lesions on an image of 12 megapixels, panned and zoomed.

The browser paints without a GPU, so each pixel is work of a core; with one it is less. The time of
a frame is that between two calls of requestAnimationFrame; the screen has 60 a second. CPU time is
of all processes of the browser together, and says more on a busy machine, which delays frames.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from playwright.async_api import CDPSession, Page, async_playwright

from benchmarks.masks import blob
from benchmarks.measure import Spread, percentile
from benchmarks.report import NO_TARGET, Figure, Result
from benchmarks.standard import CLASS_NAMES, SEED, scene
from pipeline.image import masks
from tests.chromium import CHROMIUM, QUIET
from tests.integration.gateway.viewer import answers, site

WIDTH, HEIGHT, COUNT = 4000, 3000, 100
FRAMES = 300
FRAME_MS = 1000 / 60
TOLERATED_MS = 1  # by which the clock of the frames may be late
WINDOW = {"width": 1440, "height": 900}

# The picture moves on with each frame, as under a finger.
MOVE = """
async ([kind, frames]) => {
  const { viewport } = viewer;
  const { fitScale, imageWidth, imageHeight } = viewport;
  const views = {
    pan: (turn) => [3, 0.5 + 0.25 * Math.sin(turn), 0.5 + 0.25 * Math.cos(turn)],
    zoom: (turn) => [4.5 - 3.5 * Math.cos(turn), 0.4, 0.6],
  };
  const times = [];
  let before = await new Promise(requestAnimationFrame);
  for (let frame = 0; frame < frames; frame += 1) {
    const [zoom, x, y] = views[kind]((4 * Math.PI * frame) / frames);
    viewport.set({ scale: zoom * fitScale, x: x * imageWidth, y: y * imageHeight });
    const now = await new Promise(requestAnimationFrame);
    times.push(now - before);
    before = now;
  }
  return times;
}
"""


@dataclass(frozen=True, slots=True)
class Movement:
    """Hold what a movement took: milliseconds of each frame, and of CPU time for each."""

    frames: list[float]
    cpu: float

    @property
    def in_time(self) -> float:
        """Return the share of frames that came no later than the next one of the screen."""
        return sum(frame <= FRAME_MS + TOLERATED_MS for frame in self.frames) / len(self.frames)


def run() -> Result:
    movements = asyncio.run(_measure())
    figures: list[Figure] = []
    for name, movement in movements.items():
        figures += _figures(name, movement)
    return Result("viewer", figures, {name: _details(each) for name, each in movements.items()})


def _figures(name: str, movement: Movement) -> list[Figure]:
    median = Spread.of(movement.frames)
    return [
        Figure(
            f"{name}: CPU time of a frame, without a GPU",
            f"<= {FRAME_MS:.1f} ms",
            f"{movement.cpu:.1f} ms",
            movement.cpu <= FRAME_MS,
        ),
        Figure(
            f"{name}: time between frames",
            f"<= {FRAME_MS + TOLERATED_MS:.1f} ms",
            f"{median} ms",
            median.median <= FRAME_MS + TOLERATED_MS,
        ),
        Figure(f"{name}: frames in time", NO_TARGET, f"{movement.in_time:.1%}", None),
    ]


def _details(movement: Movement) -> dict[str, float]:
    return {
        "frame_ms": Spread.of(movement.frames).median,
        "frame_ms_p95": percentile(movement.frames, 95),
        "cpu_ms": movement.cpu,
        "in_time": movement.in_time,
    }


async def _measure() -> dict[str, Movement]:
    image = cv2.imencode(".jpg", scene(1, WIDTH, HEIGHT))[1].tobytes()
    answer = answers.answer(image, _lesions())
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        context = await browser.new_context(viewport=WINDOW)
        await site.serve(context)
        page = await context.new_page()
        await page.goto(site.ADDRESS)
        await site.show(page, answer, image)
        devtools = await browser.new_browser_cdp_session()
        movements = {}
        for look in ("filled", "outlined", "adjusted"):
            if look == "adjusted":
                await _adjust(page)
            for kind in ("pan", "zoom"):
                await page.evaluate(MOVE, [kind, FRAMES // 5])  # the first movement compiles
                movements[f"{kind}, {look}"] = await _movement(page, devtools, kind)
            await page.get_by_role("button", name="Outline", exact=True).click()
        await browser.close()
    return movements


async def _adjust(page: Page) -> None:
    """Set the adjustments that blend the most: the green filter, brightness and contrast."""
    await page.get_by_role("button", name="Picture", exact=True).click()
    await page.get_by_label("Green filter").check()
    for slider in ("Brightness", "Contrast"):
        await page.get_by_role("slider", name=slider).fill("50")
    await page.keyboard.press("Escape")


async def _movement(page: Page, devtools: CDPSession, kind: str) -> Movement:
    before = await _cpu_seconds(devtools)
    frames: list[float] = await page.evaluate(MOVE, [kind, FRAMES])
    spent = await _cpu_seconds(devtools) - before
    return Movement(frames, 1000 * spent / FRAMES)


async def _cpu_seconds(devtools: CDPSession) -> float:
    processes = (await devtools.send("SystemInfo.getProcessInfo"))["processInfo"]
    return sum(process["cpuTime"] for process in processes)


def _lesions() -> list[dict[str, Any]]:
    """Return lesions in boxes of 150 to 900 pixels, many over others, by falling score."""
    rng = np.random.default_rng(SEED)
    made = []
    for i in range(COUNT):
        sides = rng.uniform(150, 900, 2)
        x, y = rng.random(2) * ((WIDTH, HEIGHT) - sides)
        box = (x, y, x + sides[0], y + sides[1])
        mask = masks.paste(blob(rng).astype(np.float32), box, HEIGHT, WIDTH)
        class_id = i % len(CLASS_NAMES)
        made.append(
            {
                "class_id": class_id,
                "label": CLASS_NAMES[class_id],
                "score": 0.99 - i / 300,
                "box": list(box),
                "box_area": float(sides.prod()),
                "mask_area": mask.area(),
                "mask": masks.encode_rle(mask).model_dump(),
            }
        )
    return made
