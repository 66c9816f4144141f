"""Colours, measurements and outlines of the viewer, computed in the browser."""

import itertools

import numpy as np
import pytest
from playwright.async_api import Page

from pipeline.image.colours import colour_of, contrast_of
from tests.integration.gateway.viewer.answers import disc, encoded
from tests.integration.gateway.viewer.site import run

pytestmark = pytest.mark.asyncio(loop_scope="module")

MEASURE = """
  const { Mask } = await import("/static/web/viewer/mask.js");
  const { size } = given;
  const mask = Mask.of(given, size[1], size[0]);
  return it.measurementsOf({ box: [0, 0, 0, 0], mask, area: 7 });
"""


async def test_colours_are_those_of_service(page: Page):
    cases = [(class_id, number) for number in range(1, 13) for class_id in range(number + 2)]
    shown = await run(
        page, "colours.js", "return given.map(([id, count]) => it.channelsOf(id, count))", cases
    )
    assert [tuple(colour) for colour in shown] == [colour_of(*case) for case in cases]


async def test_contrasts_are_those_of_service(page: Page):
    cases = [(class_id, number) for number in range(1, 13) for class_id in range(number)]
    shown = await run(
        page, "colours.js", "return given.map(([id, count]) => it.contrastOf(id, count))", cases
    )
    expected = [contrast_of(colour_of(*case)) for case in cases]
    assert shown == [f"rgb({red} {green} {blue})" for red, green, blue in expected]


def corners(pixels):
    rows, columns = np.nonzero(pixels)
    return [
        (x + right, y + down)
        for x, y in zip(columns.tolist(), rows.tolist(), strict=True)
        for right in (0, 1)
        for down in (0, 1)
    ]


@pytest.mark.parametrize("seed", range(8))
async def test_measurements_are_those_of_all_corners(page: Page, seed):
    pixels = np.random.default_rng(seed).random((9, 12)) < 0.2
    pixels[4, 5] = True
    points = corners(pixels)
    measured = await run(page, "measure.js", MEASURE, encoded(pixels))
    longest = max(np.hypot(a[0] - b[0], a[1] - b[1]) for a, b in itertools.product(points, points))
    columns, rows = zip(*points, strict=True)
    assert measured["diameter"] == pytest.approx(longest)
    assert (measured["width"], measured["height"]) == (
        max(columns) - min(columns),
        max(rows) - min(rows),
    )
    x1, y1, x2, y2 = measured["line"]
    assert {(x1, y1), (x2, y2)} <= set(points)
    assert np.hypot(x2 - x1, y2 - y1) == pytest.approx(longest)


async def test_diameter_of_disc_is_its_own(page: Page):
    measured = await run(page, "measure.js", MEASURE, encoded(disc((300, 300), 150, 140, 100)))
    assert measured["diameter"] == pytest.approx(200, abs=1.5)


async def test_mask_without_pixels_has_no_size(page: Page):
    measured = await run(page, "measure.js", MEASURE, encoded(np.zeros((4, 5), dtype=np.bool_)))
    assert measured == {"area": 7, "width": 0, "height": 0, "diameter": 0, "line": None}


PROBLEMS = {
    "square": ([[[0, 0], [9, 0], [9, 9], [0, 9]]], None),
    "two points": ([[[0, 0], [9, 0]]], "few"),
    "nothing": ([], "few"),
    "bow tie": ([[[0, 0], [9, 9], [9, 0], [0, 9]]], "crossing"),
    "touches itself": ([[[0, 0], [9, 0], [9, 9], [5, 0], [0, 9]]], "crossing"),
    "same place twice": ([[[0, 0], [9, 0], [9, 9], [0, 0], [-9, 9]]], "crossing"),
    "line": ([[[0, 0], [4, 0], [9, 0]]], "flat"),
    "less than a pixel": ([[[0, 0], [1, 0], [0, 1]]], "flat"),
    "second one crosses": (
        [[[0, 0], [9, 0], [0, 9]], [[0, 0], [9, 9], [9, 0], [0, 9]]],
        "crossing",
    ),
}


@pytest.mark.parametrize(("loops", "problem"), PROBLEMS.values(), ids=PROBLEMS)
async def test_outline_is_checked(page: Page, loops, problem):
    assert await run(page, "segmentation.js", "return it.problemOf(given)", loops) == problem


async def test_segmentation_is_that_of_coco(page: Page):
    loops = [[[0, 0.123456], [9, 0], [0, 9]], [[20, 20], [30, 20], [20, 30]]]
    lists = await run(page, "segmentation.js", "return it.segmentationOf(given)", loops)
    assert lists == [[0, 0.12, 9, 0, 0, 9], [20, 20, 30, 20, 20, 30]]


EDITABLE = """
  const { Mask } = await import("/static/web/viewer/mask.js");
  const { Outline } = await import("/static/web/viewer/outline.js");
  const mask = Mask.of(given.mask, given.mask.size[1], given.mask.size[0]);
  return it.editable(Outline.of(mask), given.box);
"""


@pytest.mark.parametrize("radius", [3, 40, 140])
async def test_edited_outline_has_few_points_near_mask(page: Page, radius):
    pixels = disc((300, 300), 150, 150, radius)
    box = [150 - radius, 150 - radius, 150 + radius, 150 + radius]
    edited = await run(page, "segmentation.js", EDITABLE, {"mask": encoded(pixels), "box": box})
    [loop] = edited["loops"]
    distances = [np.hypot(x - 150, y - 150) for x, y in loop]
    assert 4 <= len(loop) <= 40
    assert max(abs(np.array(distances) - radius)) < 1.5
    assert not edited["hasHoles"]


async def test_edited_outline_leaves_holes_out_and_says_so(page: Page):
    pixels = disc((100, 100), 50, 50, 40) & ~disc((100, 100), 50, 50, 15)
    given = {"mask": encoded(pixels), "box": [10, 10, 90, 90]}
    edited = await run(page, "segmentation.js", EDITABLE, given)
    assert edited["hasHoles"]
    assert len(edited["loops"]) == 1
