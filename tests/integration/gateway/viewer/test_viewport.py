"""What of an image is shown: zooming and panning, computed in the browser."""

import pytest
from playwright.async_api import Page

from tests.integration.gateway.viewer.site import run

pytestmark = pytest.mark.asyncio(loop_scope="module")

START = """
  const view = new it.Viewport();
  view.resize(800, 600);
  view.open(4000, 3000);
  const state = () => ({ scale: view.scale, x: view.x, y: view.y });
"""


async def viewport(page: Page, body: str):
    return await run(page, "viewport.js", START + body)


async def test_opens_with_whole_image(page: Page):
    assert await viewport(page, "return state()") == {"scale": 0.2, "x": 2000, "y": 1500}


async def test_zooms_at_place_under_pointer(page: Page):
    places = await viewport(
        page,
        """view.set(view.zoomed(3));
           const before = view.toImage([700, 100]);
           view.set(view.zoomed(1.7, [700, 100]));
           return [before, view.toImage([700, 100])];""",
    )
    assert places[0] == pytest.approx(places[1])


async def test_never_shows_beyond_image(page: Page):
    corners = await viewport(
        page,
        """view.set(view.zoomed(4));
           view.panBy(-1e6, 1e6);
           return [view.toImage([0, 0]), view.toImage([800, 600])];""",
    )
    assert corners[0][0] == pytest.approx(0)
    assert corners[1][1] == pytest.approx(3000)


async def test_zooms_neither_out_beyond_image_nor_in_beyond_limit(page: Page):
    scales = await viewport(
        page,
        """const scales = [];
           for (const factor of [0.001, 1e9]) {
             view.set(view.zoomed(factor));
             scales.push(view.scale);
           }
           return scales;""",
    )
    assert scales == [0.2, 16]


async def test_stays_whole_when_resized(page: Page):
    assert (await viewport(page, "view.resize(400, 600); return state()"))["scale"] == 0.1


async def test_keeps_place_when_resized_while_zoomed_in(page: Page):
    state = await viewport(
        page, "view.set({ scale: 1, x: 900, y: 800 }); view.resize(700, 500); return state()"
    )
    assert state == {"scale": 1, "x": 900, "y": 800}


async def test_box_in_view_moves_nothing(page: Page):
    state = await viewport(
        page,
        """view.set({ scale: 1, x: 1000, y: 1000 });
           view.set(view.showing([950, 950, 1100, 1100]));
           return state();""",
    )
    assert state == {"scale": 1, "x": 1000, "y": 1000}


@pytest.mark.parametrize("box", [[3000, 2000, 3100, 2100], [100, 100, 3000, 2000]])
async def test_box_out_of_view_comes_into_it(page: Page, box):
    left, top, right, bottom = await viewport(
        page,
        f"""const box = {box};
           view.set({{ scale: 2, x: 400, y: 400 }});
           view.set(view.showing(box));
           return [...view.toScreen(box.slice(0, 2)), ...view.toScreen(box.slice(2))];""",
    )
    assert 0 <= left < right <= 800
    assert 0 <= top < bottom <= 600


async def test_other_image_takes_view_over_in_relative_coordinates(page: Page):
    state = await viewport(
        page,
        """view.set({ scale: 0.8, x: 1000, y: 1500 });
           const other = new it.Viewport();
           other.resize(400, 400);
           other.open(1000, 1000);
           other.setRelative(view.relative);
           return [other.scale / other.fitScale, other.x, other.y];""",
    )
    assert state == pytest.approx([4, 250, 500])


async def test_small_image_is_not_enlarged_without_bound(page: Page):
    assert await viewport(page, "view.open(10, 10); return view.scale") == 8
