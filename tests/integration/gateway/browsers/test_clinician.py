"""A clinician's way through the page in Firefox, and in WebKit, which is Safari's engine."""

import base64
import json

import numpy as np
import pytest
from django.contrib.sessions.models import Session
from PIL import Image

from gateway.reviews.models import Version
from pipeline.image.decode import decode
from tests.integration.gateway.browsers.steps import (
    Clinic,
    becomes,
    give_password,
    picture,
    shows,
    text,
)
from tests.integration.gateway.browsers.tab import Engine
from tests.integration.gateway.demo_model import EXAMPLES
from tests.integration.gateway.viewer.test_orientation import READ, scene

pytestmark = pytest.mark.browsers

FIRST, SECOND = EXAMPLES / "synthetic-1.jpg", EXAMPLES / "synthetic-2.jpg"


async def test_lesions_are_drawn_where_they_are(clinic: Clinic):
    await clinic.analyse(FIRST)
    tab = clinic.tab
    assert await text(tab, ".pane .count") == "3 lesions found: carcinoma, HSIL, LSIL"
    drawn = await picture(tab)
    await tab.click('[data-do="overlay"]')
    await shows(tab, ".viewer-chip", "Lesions are not drawn.")
    plain = await picture(tab)
    image = Image.open(FIRST)
    scale = min(plain.shape[0] / image.height, plain.shape[1] / image.width)
    width, height = round(image.width * scale), round(image.height * scale)
    changed = np.abs(drawn - plain).max(axis=2) > 8
    lesions = (3_761 + 7_124 + 23_923) * scale**2
    assert lesions < changed.sum() < 1.4 * lesions  # with lines and numbers
    left, top = (plain.shape[1] - width) // 2, (plain.shape[0] - height) // 2
    expected = np.asarray(image.resize((width, height)), np.int16)
    shown = plain[top : top + height, left : left + width]
    assert np.abs(shown - expected).mean() < 8  # another way of scaling


TURN = f"""async (given) => {{
  const page = document.querySelector("script[src$='/web/page.js']").src;
  const it = await import(new URL("viewer/upright.js", page));
  {READ}
}}"""


async def test_picture_is_turned_as_by_the_service(visitor: Clinic):
    await shows(visitor.tab, "#service", "Ready")
    for format in ("JPEG", "PNG", "WEBP"):
        for orientation in range(1, 9):
            data = scene(orientation, format)
            decoded = decode(data)
            given = {"data": base64.b64encode(data).decode(), "image": decoded.info.model_dump()}
            shown = await visitor.tab.run(TURN, given)
            pixels = np.frombuffer(base64.b64decode(shown["data"]), np.uint8)
            pixels = pixels.reshape(shown["height"], shown["width"], 4)[:, :, :3].astype(int)
            expected = decoded.pixels[:, :, ::-1]
            assert pixels.shape == expected.shape, (format, orientation)
            assert np.abs(pixels - expected).mean() < 4, (format, orientation)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
async def test_thumbnail_of_turned_image_is_upright_with_the_answer(clinic, tmp_path, format):
    path = tmp_path / "turned.image"
    path.write_bytes(scene(6, format))  # stored as 384 by 240
    await clinic.analyse(path)
    await becomes(
        clinic.tab,
        """() => {
          const { naturalWidth, naturalHeight } = document.querySelector(".card .thumbnail");
          return naturalWidth === 200 && naturalHeight === 320;
        }""",
    )


async def test_zoom_ruler_and_scale(clinic: Clinic):
    await clinic.analyse(FIRST)
    tab = clinic.tab
    before = await text(tab, ".viewer-zoom")
    await tab.click('[data-do="zoomIn"]')
    await becomes(tab, "(it) => document.querySelector('.viewer-zoom').innerText !== it", before)
    await tab.click('[data-do="fit"]')
    await shows(tab, ".viewer-zoom", before)
    await tab.click(".viewer-lesions li:nth-child(2) button")
    await shows(tab, ".viewer-said", "HSIL")
    await tab.click('[data-do="ruler"]')
    await tab.drag(".viewer-picture", (0.3, 0.3), (0.6, 0.6))
    await shows(tab, ".viewer-said", "pixels")
    await tab.press("Escape", "Escape")
    await tab.click('[data-do="scale"]')
    await tab.click(".viewer-scale-other summary")
    await tab.fill(".viewer-scale-pixel input", "0.05")
    await tab.press("Enter")
    await shows(tab, ".viewer-lesions li:nth-child(2) .viewer-size", "17.8 mm², 5.2 mm across")


async def test_two_images_are_compared(clinic: Clinic):
    await clinic.analyse(FIRST, SECOND)
    await clinic.tab.click("#compare")
    await shows(clinic.tab, "#comparison-table", "synthetic-2.jpg")
    shown = "() => [...document.querySelectorAll('.viewer')].filter((it) => !it.hidden).length"
    await becomes(clinic.tab, f"() => ({shown})() === 2")


CHOOSE_CLASS = """() => {
  const select = document.querySelector(".missed-class");
  select.selectedIndex = 1;
  select.dispatchEvent(new Event("change", { bubbles: true }));
}"""


async def test_review_with_missed_lesion_is_saved(clinic: Clinic):
    await clinic.analyse(FIRST)
    tab = clinic.tab
    await tab.click(".review-toggle")
    await tab.click(".viewer-lesions li:nth-child(1) .choices label:nth-child(2)")  # reject
    await tab.run(CHOOSE_CLASS)
    await tab.click(".missed-bar .draw")
    await becomes(tab, "() => !document.querySelector('.viewer-editor').hidden")
    right, down = ["ArrowRight"] * 4, ["ArrowDown"] * 4
    await tab.press("Space", *right, "Space", *down, "Space", "Enter", "Enter")
    await becomes(tab, "() => document.querySelectorAll('.missed li').length === 1")
    await tab.click(".accept-rest")
    await tab.fill(".comment", "after acetic acid")
    await tab.click(".save")
    await shows(tab, ".saved", "Saved as version 1.")
    content = json.loads((await Version.objects.aget()).content)
    verdicts = [lesion["verdict"] for lesion in content["lesions"]]
    assert sorted(verdicts) == ["accept", "accept", "reject"]
    assert len(content["missed"][0]["outline"][0]) == 6
    assert content["comment"] == "after acetic acid"


async def test_report_is_ready_when_it_is_printed(clinic: Clinic):
    await clinic.analyse(FIRST, SECOND)
    tab = clinic.tab
    await tab.run(
        """() => {
          window.print = () => {
            const pictures = [...document.querySelectorAll("#report img")];
            window.printed = pictures.map((it) => it.complete && it.naturalWidth);
          };
        }"""
    )
    await tab.click("#print")
    await tab.fill("#patient", "Example, A.")
    await tab.click("#report-print")
    await becomes(tab, "() => window.printed !== undefined")
    assert await tab.run("() => window.printed") == [800, 800]
    heads = (
        "() => [...document.querySelectorAll('.report-sheet > thead')].map((it) => it.textContent)"
    )
    assert ["Example, A." in head for head in await tab.run(heads)] == [True, True]
    assert "Not a diagnosis." in await text(tab, "#report .report-foot")


async def test_page_in_another_language_on_a_phone(clinic: Clinic):
    tab = clinic.tab
    await tab.click('.languages [value="fr"]')
    await becomes(tab, "() => document.documentElement.lang === 'fr'")
    await tab.resize(460, 844)  # the narrowest window of WebKit's small browser
    await clinic.analyse(FIRST)
    assert await text(tab, ".pane .count") != ""
    assert await tab.run("() => document.documentElement.scrollWidth <= innerWidth")


async def test_nothing_but_tables_and_lists_scrolls_sideways(clinic: Clinic):
    await clinic.analyse(FIRST)
    wide = await clinic.tab.run(
        """() => [...document.querySelectorAll(".rail, .stage, .viewer-side, .viewer-lesions")]
          .filter((it) => getComputedStyle(it).overflowX !== "hidden")
          .filter((it) => it.scrollWidth > it.clientWidth)
          .map((it) => it.className)"""
    )
    assert wide == []


async def test_page_is_dark_where_the_browser_is(engine: Engine, visitor: Clinic):
    async with engine.tab(is_dark=True) as tab:
        await tab.open(visitor.url)
        colour = await tab.run("() => getComputedStyle(document.body).backgroundColor")
        assert colour == "rgb(14, 20, 24)"


async def test_ended_session_locks_page_until_sign_in(clinic: Clinic):
    await clinic.analyse(FIRST)
    tab = clinic.tab
    await Session.objects.all().adelete()
    await tab.run("() => { document.dispatchEvent(new Event('visibilitychange')); }")
    await shows(tab, "#locked", "Your session has ended")
    assert "synthetic-1" not in await text(tab, "body")
    await tab.click("#locked-sign-in")
    await give_password(await tab.other())
    await becomes(tab, "() => document.getElementById('locked').hidden")
    await shows(tab, ".pane .count", "3 lesions found")


async def test_back_button_after_sign_out_shows_no_image(clinic: Clinic):
    await clinic.analyse(FIRST)
    tab = clinic.tab
    await tab.click("#sign-out button")
    await becomes(tab, "() => document.getElementById('sign-in') !== null")
    await tab.back()
    await becomes(tab, "() => document.readyState === 'complete'")
    assert "synthetic-1" not in await text(tab, "body")
    assert await tab.run("() => document.querySelector('#person, .card') === null")
