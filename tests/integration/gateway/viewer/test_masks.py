"""The viewer's reading of masks, against pycocotools."""

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from playwright.async_api import Error, Page
from pycocotools import mask as coco

from tests.integration.gateway.viewer.answers import disc, encoded
from tests.integration.gateway.viewer.site import run

pytestmark = pytest.mark.asyncio(loop_scope="module")

READ = """
  const mask = it.Mask.of(given, given.size[1], given.size[0]);
  return { ...mask, pixels: [...mask.pixels] };
"""
TRACE = """
  const { Mask } = await import("/static/web/viewer/mask.js");
  return it.Outline.of(Mask.of(given, given.size[1], given.size[0])).loops;
"""
MASKS = st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(
    lambda shape: arrays.arrays(np.bool_, shape)
)
IN_BROWSER = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50
)


def in_full(mask, shape):
    full = np.zeros(shape, dtype=np.bool_)
    crop = np.array(mask["pixels"], dtype=np.bool_).reshape(mask["height"], mask["width"])
    full[mask["y"] : mask["y"] + mask["height"], mask["x"] : mask["x"] + mask["width"]] = crop
    return full


@IN_BROWSER
@given(pixels=MASKS)
@example(pixels=np.zeros((3, 4), dtype=np.bool_))
@example(pixels=np.ones((3, 4), dtype=np.bool_))
async def test_mask_is_that_of_pycocotools(page: Page, pixels):
    mask = await run(page, "mask.js", READ, encoded(pixels))
    assert np.array_equal(in_full(mask, pixels.shape), pixels)
    if pixels.any():  # cropped to its bounds
        crop = in_full(mask, pixels.shape)[mask["y"] :, mask["x"] :]
        assert crop[0].any()
        assert crop[:, 0].any()


async def test_large_mask_is_that_of_pycocotools(page: Page):
    pixels = disc((1500, 2000), 1200.0, 700.0, 500.0) ^ disc((1500, 2000), 1100.0, 650.0, 200.0)
    mask = await run(page, "mask.js", READ, encoded(pixels))
    assert np.array_equal(in_full(mask, pixels.shape), pixels)


async def test_runs_of_more_than_32_bits_are_exact(page: Page):
    counts = [2**40 + 7, 2**36 + 5, 3, 2**38 + 1, 2]
    read = "return it.runsOf(given.text, given.total)"
    text = coco_text(counts)
    assert await run(page, "rle.js", read, {"text": text, "total": sum(counts)}) == counts


def coco_text(counts):
    """Return run lengths as rleToString of pycocotools writes them."""
    text = ""
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        while True:
            digit, value = value & 31, value >> 5
            is_last = value == (-1 if digit & 16 else 0)
            text += chr(48 + digit + (0 if is_last else 32))
            if is_last:
                break
    return text


@pytest.mark.parametrize("counts", ["", "0", "<1", "0l1", "h", "1 2", "é", "oo", "0O5"])
async def test_refuses_runs_that_do_not_fill_image(page: Page, counts):
    with pytest.raises(Error, match="The mask"):
        await run(page, "mask.js", READ, {"format": "rle", "size": [3, 4], "counts": counts})


async def test_refuses_mask_of_another_image(page: Page):
    turned = "return it.Mask.of(given, given.size[0], given.size[1])"
    with pytest.raises(Error, match="another image"):
        await run(page, "mask.js", turned, encoded(np.ones((3, 4), dtype=np.bool_)))


@IN_BROWSER
@given(pixels=MASKS)
async def test_outline_encloses_exactly_the_mask(page: Page, pixels):
    loops = await run(page, "outline.js", TRACE, encoded(pixels))
    rows, columns = np.indices(pixels.shape) + 0.5
    inside = np.zeros(pixels.shape, dtype=int)
    for loop in loops:
        points = list(zip(loop[::2], loop[1::2], strict=True))
        for (x1, y1), (x2, y2) in zip(points, points[1:] + points[:1], strict=True):
            assert (x1 == x2) != (y1 == y2)  # a side of pixels
            if x1 == x2:  # even-odd rule: count the upright sides to the right of each centre
                crosses = (rows > min(y1, y2)) & (rows < max(y1, y2)) & (columns < x1)
                inside += crosses
    assert np.array_equal(inside % 2 == 1, pixels)


@IN_BROWSER
@given(pixels=MASKS)
async def test_loops_around_holes_run_the_other_way(page: Page, pixels):
    loops = await run(page, "outline.js", TRACE, encoded(pixels))
    areas = await run(page, "outline.js", "return given.map(it.signedArea)", loops)
    assert sum(areas) == pixels.sum()


@pytest.mark.parametrize("scale", [0.06, 0.3, 0.5, 1, 1.9])
async def test_drawn_outline_is_near_true_one(page: Page, scale):
    """Every point that is left out is less than a screen pixel, or a pixel, from the drawn line."""
    pixels = disc((300, 400), 200.0, 150.0, 110.3) & ~disc((300, 400), 260.0, 150.0, 40.0)
    away = await run(
        page,
        "outline.js",
        """
        const { Mask } = await import("/static/web/viewer/mask.js");
        const outline = it.Outline.of(Mask.of(given.mask, 400, 300));
        const reach = Math.max(1, 1 / given.scale);
        const context = new OffscreenCanvas(1, 1).getContext("2d");
        context.lineWidth = 2 * reach;
        const path = outline.path(given.scale);
        let count = 0;
        for (const loop of outline.loops)
          for (let at = 0; at < loop.length; at += 2)
            if (!context.isPointInStroke(path, loop[at], loop[at + 1])) count += 1;
        return { count, kept: outline.pointsAt(given.scale), all: outline.pointsAt(9) };
        """,
        {"mask": encoded(pixels), "scale": scale},
    )
    assert away["count"] == 0
    assert away["kept"] < away["all"] / 3


async def test_outline_of_large_pixels_is_exact(page: Page):
    pixels = disc((60, 60), 30.0, 30.0, 20.0)
    count = await run(
        page,
        "outline.js",
        """
        const { Mask } = await import("/static/web/viewer/mask.js");
        const outline = it.Outline.of(Mask.of(given, 60, 60));
        return [outline.pointsAt(2.1), outline.loops[0].length / 2];
        """,
        encoded(pixels),
    )
    assert count[0] == count[1]


async def test_own_encoding_is_that_of_pycocotools():
    pixels = disc((40, 50), 20.0, 20.0, 12.0)
    counts = coco.frPyObjects({"size": [40, 50], "counts": uncompressed(pixels)}, 40, 50)["counts"]
    assert coco_text(uncompressed(pixels)) == counts.decode()


def uncompressed(pixels):
    flat = np.concatenate(([0], pixels.T.ravel().astype(int), [-1]))
    ends = np.flatnonzero(np.diff(flat) != 0)
    runs = np.diff(np.concatenate(([0], ends)))
    return runs.tolist()
