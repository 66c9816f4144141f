"""The clinician's page in its languages: no English is left, nothing is cut off, a change asks."""

import json
import re

import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session
from playwright.async_api import Browser, Page, expect

from gateway.reviews.models import Version
from gateway.signin.models import Profile
from tests.integration.gateway.browser import (
    answering,
    cards,
    choose,
    cut_off,
    opened,
    pane,
    sign_in,
    ungradable,
)
from tests.integration.gateway.client import Gateway, jpeg
from tests.integration.gateway.ingress import FakeIngress, Sent, problem
from tests.integration.gateway.test_sessions import PASSWORD, person

pytestmark = pytest.mark.asyncio(loop_scope="module")

LABELS = {
    "HSIL": {
        "es": "Lesión escamosa de alto grado",
        "fr": "Lésion malpighienne de haut grade",
        "pt": "Lesão escamosa de alto grau",
        "sw": "Kidonda cha daraja la juu",
    }
}
# Every text of the page, also of what is hidden, and of the copies that the scripts make.
TEXTS = """
() => {
  const texts = [];
  const walk = (node) => {
    if (node.nodeType === Node.TEXT_NODE) texts.push(node.data);
    if (node.nodeType === Node.ELEMENT_NODE) {
      if (node.matches("script, style, .languages")) return;
      for (const name of ["title", "alt", "placeholder"]) texts.push(node.getAttribute(name));
      texts.push(node.ariaLabel, node.ariaValueText);
    }
    const parent = node instanceof HTMLTemplateElement ? node.content : node;
    for (const child of parent.childNodes) walk(child);
  };
  walk(document.documentElement);
  return texts.map((text) => (text ?? "").trim()).filter((text) => /\\p{L}{2}/u.test(text));
}
"""
# What is the same in English and in Swahili: names, abbreviations, keys of the keyboard.
SAME = {
    "lesionserve",
    "lesion",
    "serve",
    "API",
    "a clinic",
    "nurse",
    "Esc",
    "Shift",
    "Enter",
    "Tab",
    "Delete",
    "LSIL",  # the class without a translation
    "LSIL (0)",
}
# File names, sizes, digests, the engine and the model.
SAME_KIND = re.compile(
    r"\w+\.(jpg|pdf)|[^a-z]+ (kB|px|JPEG)\)?|[0-9a-f-]+|portable, float32|(demo|fake) 7"
)


def named(sent: Sent) -> dict:
    """Return a prediction of a model that knows its classes in other languages."""
    answer = ungradable(sent, "too_dark", "glare")
    answer["model"]["labels"] = LABELS
    answer["model"]["name"] = "demo"
    return answer


async def enter(page: Page) -> None:
    """Sign in, in whatever language the page is."""
    await page.locator('a[href="/login/"]').click()
    await page.locator("#id_username").fill("nurse")
    await page.locator("#id_password").fill(PASSWORD)
    await page.locator("#id_password").press("Enter")


async def tour(page: Page, ingress: FakeIngress) -> set[str]:
    """Sign a clinician in and meet most of the page. Return its texts."""
    texts: set[str] = set()
    await enter(page)
    await expect(page.locator("#service")).to_contain_text("fake 7")

    async def look() -> None:
        texts.update(await page.evaluate(TEXTS))
        assert await cut_off(page) == []

    await look()
    file = {"name": "letter.pdf", "mimeType": "", "buffer": b"%PDF-1.7"}
    await page.locator("#file").set_input_files([file])
    await choose(page, a=jpeg(640, 480), b=jpeg(640, 480))
    await expect(cards(page)).to_have_count(2)
    await look()
    ingress.answer = lambda sent: problem(sent, 503, "overloaded")
    await page.locator("#submit").click()
    await expect(pane(page).locator(".problem").first).to_be_visible()
    await look()
    ingress.answer = answering(named)
    await page.locator("#submit").click()  # which retries now
    await expect(pane(page).locator(".view")).to_be_visible()
    await pane(page).locator(".review-toggle").click()
    await expect(pane(page).locator(".verdict")).to_be_visible()
    await pane(page).locator(".relabel").click()
    await pane(page).locator(".viewer-row").click()
    await pane(page).locator('[data-do="original"]').click()
    await pane(page).locator('[data-do="scale"]').click()
    await look()
    await pane(page).locator('[data-do="help"]').click()
    await pane(page).locator(".edit").click()
    await look()
    await page.locator("#compare").click()
    await page.locator("#print").click()
    await page.evaluate("window.print = () => {}")
    await page.locator("#report-print").click()
    await expect(page.locator("#report")).not_to_have_attribute("hidden", "")
    await look()
    return texts


async def test_no_english_is_left(chromium: Browser, gateway: Gateway, ingress: FakeIngress):
    await sync_to_async(person)()
    url = f"http://127.0.0.1:{gateway.port}/"
    async with opened(chromium, url, locale="en-US") as page:
        english = await tour(page, ingress)
    async with opened(chromium, url, locale="sw") as page:
        swahili = await tour(page, ingress)
        await expect(page.locator("html")).to_have_attribute("lang", "sw")
    assert len(english) > 200
    left = {text for text in english & swahili - SAME if not SAME_KIND.fullmatch(text)}
    assert left == set()


@pytest.mark.parametrize("language", ["es", "fr", "pt", "sw"])
async def test_nothing_is_cut_off_on_phone(
    chromium: Browser, gateway: Gateway, ingress: FakeIngress, language: str
):
    await sync_to_async(person)()
    url = f"http://127.0.0.1:{gateway.port}/"
    phone = {"width": 390, "height": 844}
    async with opened(chromium, url, locale=language, viewport=phone) as page:
        await tour(page, ingress)
        label = f"{LABELS['HSIL'][language]} (HSIL)"
        await expect(pane(page).locator(".viewer-label")).to_have_text(label)
        score = "87.5 %" if language == "sw" else "87,5 %"
        await expect(pane(page).locator(".viewer-score b")).to_have_text(score)


async def test_change_of_language_asks_where_images_would_be_lost(page: Page, ingress: FakeIngress):
    await sync_to_async(person)()
    await sign_in(page)
    await choose(page, a=jpeg(), b=jpeg())
    await expect(cards(page)).to_have_count(2)
    dialog = page.locator("#leave-dialog")
    await page.get_by_role("button", name="Español").click()
    await expect(dialog).to_contain_text("The 2 images")
    await dialog.get_by_role("button", name="Keep them").click()
    await expect(cards(page)).to_have_count(2)
    await Session.objects.all().adelete()  # the page is locked, and still holds them
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(page.locator("#locked")).to_be_visible()
    await page.get_by_role("button", name="Español").click()
    await dialog.get_by_role("button", name="Remove them and change").click()
    await expect(page.locator("html")).to_have_attribute("lang", "es")
    await expect(page.locator("#submit")).to_have_text("Buscar lesiones")
    await expect(cards(page)).to_have_count(0)


async def test_chosen_language_stays_with_person(page: Page, ingress: FakeIngress):
    await sync_to_async(person)()
    await sign_in(page)
    await page.get_by_role("button", name="Français").click()
    await expect(page.locator("html")).to_have_attribute("lang", "fr")
    assert (await Profile.objects.aget()).language == "fr"


async def test_review_in_another_language_sends_labels_of_model(
    chromium: Browser, gateway: Gateway, ingress: FakeIngress
):
    ingress.answer = answering(named)
    await sync_to_async(person)()
    url = f"http://127.0.0.1:{gateway.port}/"
    async with opened(chromium, url, locale="fr") as page:
        await enter(page)
        await choose(page, a=jpeg(640, 480))
        await expect(cards(page)).to_have_count(1)
        await page.locator("#submit").click()
        await pane(page).locator(".review-toggle").click()
        names = ["Classe …", "LSIL", f"{LABELS['HSIL']['fr']} (HSIL)"]
        options = pane(page).locator(".missed-class option")
        await expect(options).to_have_text(names)
        await pane(page).locator('.choices input[value="accept"] + span').click()
        await pane(page).locator(".save").click()
        await expect(pane(page).locator(".saved")).to_contain_text("1")
    content = json.loads((await Version.objects.aget()).content)
    assert [lesion["label"] for lesion in content["lesions"]] == ["HSIL"]
