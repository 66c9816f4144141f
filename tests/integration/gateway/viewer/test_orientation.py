"""The picture is turned as the service turned it, so that the lesions lie where they are."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from playwright.async_api import Error, Page

from pipeline.image.decode import decode
from tests.integration.gateway.viewer import answers
from tests.integration.gateway.viewer.site import run, show
from tests.unit.pipeline.image.test_orientation import FILES, UNREADABLE

pytestmark = pytest.mark.asyncio(loop_scope="module")

READ = """
  const bytes = Uint8Array.from(atob(given.data), (letter) => letter.charCodeAt(0));
  const bitmap = await it.uprightBitmap(new Blob([bytes]), given.image);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  const letters = data.reduce((text, byte) => text + String.fromCharCode(byte), "");
  return { width: bitmap.width, height: bitmap.height, data: btoa(letters) };
"""


async def shown(page: Page, data: bytes, image: dict) -> np.ndarray:
    """Return the pixels that the browser shows, (H, W, 3) RGB."""
    given = {"data": base64.b64encode(data).decode(), "image": image}
    picture = await run(page, "upright.js", READ, given)
    pixels = np.frombuffer(base64.b64decode(picture["data"]), np.uint8)
    return pixels.reshape(picture["height"], picture["width"], 4)[:, :, :3]


async def assert_as_service_sees_it(page: Page, data: bytes) -> None:
    decoded = decode(data)
    pixels = await shown(page, data, decoded.info.model_dump())
    expected = decoded.pixels[:, :, ::-1]
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).mean() < 4  # two JPEG decoders


def scene(orientation: int, format: str) -> bytes:
    """Return an image with no symmetry whose metadata says this orientation."""
    pixels = np.zeros((30, 48, 3), dtype=np.uint8)
    pixels[:15, :24], pixels[:15, 24:], pixels[15:, :24] = (220, 30, 30), (30, 200, 30), (250,) * 3
    exif = Image.Exif()
    exif[0x0112] = orientation
    written = io.BytesIO()
    options = {"quality": 95} if format == "JPEG" else {"lossless": True}
    Image.fromarray(pixels.repeat(8, 0).repeat(8, 1)).save(written, format, exif=exif, **options)
    return written.getvalue()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
async def test_picture_is_turned_by_orientation(lasting_page: Page, orientation, format):
    await assert_as_service_sees_it(lasting_page, scene(orientation, format))


@pytest.mark.parametrize("data", (FILES | UNREADABLE).values(), ids=FILES | UNREADABLE)
async def test_picture_is_turned_as_by_service_in_any_notation(lasting_page: Page, data):
    await assert_as_service_sees_it(lasting_page, data)


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_lesion_lies_on_its_place_in_picture(page: Page, orientation):
    data = scene(orientation, "JPEG")
    upright = decode(data).pixels
    red = (upright[:, :, 2] > 150) & (upright[:, :, 1] < 100)
    await show(page, answers.answer(data, [answers.lesion(red, 2)]), data)
    inside = await page.evaluate(
        """async () => {
          const { levels, lesions: [{ mask }] } = viewer.study;
          const canvas = new OffscreenCanvas(levels.width, levels.height);
          const context = canvas.getContext("2d");
          context.drawImage(levels.at(1), 0, 0);
          const { data } = context.getImageData(0, 0, levels.width, levels.height);
          let [right, wrong] = [0, 0];
          for (let y = 0, at = 0; y < levels.height; y += 1)
            for (let x = 0; x < levels.width; x += 1, at += 4) {
              const isRed = data[at] > 150 && data[at + 1] < 100;
              if (isRed === mask.has(x, y)) right += 1; else wrong += 1;
            }
          return wrong / (right + wrong);
        }"""
    )
    assert inside < 0.01


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
async def test_refuses_metadata_where_answer_does_not_tell_orientation(page: Page, format):
    with pytest.raises(Error, match="how the image was turned"):
        await shown(page, scene(3, format), {"orientation": None})


async def test_shows_image_without_metadata_of_older_answer(page: Page):
    pixels = np.arange(90, dtype=np.uint8).reshape(5, 6, 3)
    assert np.array_equal(await shown(page, answers.png(pixels), {}), pixels)


async def test_keeps_colour_profile(page: Page):
    kept = await run(
        page,
        "metadata.js",
        """const bytes = Uint8Array.from(atob(given), (letter) => letter.charCodeAt(0));
           return it.withoutMetadata(bytes).reduce((sum, part) => sum + part.length, 0);""",
        base64.b64encode(with_profile()).decode(),
    )
    assert kept == len(with_profile())


def with_profile() -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (8, 8)).save(written, "JPEG", icc_profile=b"profile" * 20)
    return written.getvalue()


@pytest.mark.parametrize(
    "data",
    [b"", b"GIF89a", b"II*\0\x08\0\0\0", b"\xff\xd8\xff\xe0\0\x10", b"\xff\xd8garbage"],
    ids=["nothing", "GIF", "TIFF", "cut JPEG", "no JPEG"],
)
async def test_refuses_what_browser_cannot_show(page: Page, data):
    with pytest.raises(Error, match=r"this kind|damaged"):
        await shown(page, data, {"orientation": 1})


async def test_refuses_image_of_another_size(page: Page):
    data = answers.grey(40, 30)
    other = answers.answer(data, [])
    other["image"] |= {"width": 30, "height": 40}
    with pytest.raises(Error, match="another size"):
        await show(page, other, data)


THUMBNAIL = """
  const bytes = Uint8Array.from(atob(given.data), (letter) => letter.charCodeAt(0));
  const thumbnail = await it.thumbnailOf(new Blob([bytes]), given.image);
  if (thumbnail === null) return null;
  const { width, height } = await createImageBitmap(thumbnail);
  return [width, height];
"""


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
async def test_thumbnail_is_turned_by_orientation_of_answer(lasting_page: Page, format):
    data = scene(6, format)
    given = {"data": base64.b64encode(data).decode(), "image": decode(data).info.model_dump()}
    assert await run(lasting_page, "../thumbnail.js", THUMBNAIL, given) == [200, 320]


async def test_there_is_no_thumbnail_of_what_viewer_does_not_show(lasting_page: Page):
    written = io.BytesIO()
    Image.new("RGB", (8, 8)).save(written, "GIF")  # which the browser shows
    given = {"data": base64.b64encode(written.getvalue()).decode()}
    assert await run(lasting_page, "../thumbnail.js", THUMBNAIL, given) is None
