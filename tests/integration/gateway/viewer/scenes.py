"""A study with four lesions that the tests of the viewer's behaviour share, and where they lie."""

import base64
import io
from typing import Any

import numpy as np
from PIL import Image
from playwright.async_api import Page

from tests.integration.gateway.viewer import answers
from tests.integration.gateway.viewer.site import show

WIDTH, HEIGHT = 640, 480
# Class id, score, middle and radius of each lesion, by falling score.
DISCS = (
    (2, 0.97, 160, 120, 50),
    (1, 0.9, 420, 130, 40),
    (0, 0.75, 430, 330, 60),
    (1, 0.6, 150, 340, 30),
)


def lesions() -> list[dict[str, Any]]:
    return [
        answers.lesion(answers.disc((HEIGHT, WIDTH), x, y, radius), class_id, score)
        for class_id, score, x, y, radius in DISCS
    ]


async def show_scene(page: Page, **changes: Any) -> None:
    image = answers.grey(WIDTH, HEIGHT)
    await show(page, answers.answer(image, lesions(), **changes), image)


async def on_screen(page: Page, x: float, y: float) -> tuple[float, float]:
    """Return where a place of the image is in the window, in CSS pixels."""
    place: list[float] = await page.evaluate(
        """([x, y]) => {
          const { left, top } = document.querySelector(".viewer-picture").getBoundingClientRect();
          const [right, down] = viewer.viewport.toScreen([x, y]);
          return [left + right / devicePixelRatio, top + down / devicePixelRatio];
        }""",
        [x, y],
    )
    return place[0], place[1]


async def scale(page: Page) -> float:
    value: float = await page.evaluate("viewer.viewport.scale / viewer.viewport.fitScale")
    return value


async def middle(page: Page) -> tuple[float, float]:
    value: list[float] = await page.evaluate("[viewer.viewport.x, viewer.viewport.y]")
    return value[0], value[1]


# Waits until the picture is painted as it stays, which it is in a frame after 120 ms of rest. The
# page's own timer and frames run in order, however slow the machine is.
AT_REST = """async () => {
  await new Promise((resolve) => setTimeout(resolve, 150));
  for (const _ of [1, 2]) await new Promise(requestAnimationFrame);
}"""


async def colour_at(page: Page, x: float, y: float, pane: str = ".viewer-picture") -> list[int]:
    """Return the RGB that is painted at a place of the image, once the picture rests."""
    await page.evaluate(AT_REST)
    colour: list[int] = await page.evaluate(
        """([x, y, pane]) => {
          const canvas = document.querySelector(`${pane} canvas`);
          const [right, down] = viewer.viewport.toScreen([x, y]);
          return [...canvas.getContext("2d").getImageData(right, down, 1, 1).data].slice(0, 3);
        }""",
        [x, y, pane],
    )
    return colour


async def picture(page: Page, options: str) -> np.ndarray:
    """Return the pixels, (H, W, 3), of the picture that the viewer makes for a download."""
    encoded = await page.evaluate(
        f"""async () => {{
          const reader = new FileReader();
          const blob = await viewer.picture({options});
          reader.readAsDataURL(blob);
          await new Promise((resolve) => {{ reader.onload = resolve; }});
          return reader.result.split(",")[1];
        }}"""
    )
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGBA"))
    assert pixels[..., 3].min() == 255, "it is opaque"
    return pixels[..., :3]
