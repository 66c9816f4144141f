"""The report that the clinician's page prints."""

import re

import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session
from playwright.async_api import Page, expect

from gateway.audit.models import Record
from tests.integration.gateway.browser import (
    answering,
    choose,
    find_lesions,
    open_report,
    pane,
    print_report,
    send,
    sign_in,
    ungradable,
)
from tests.integration.gateway.client import jpeg
from tests.integration.gateway.demo_model import demo_answers, example
from tests.integration.gateway.ingress import FakeIngress
from tests.integration.gateway.test_sessions import person

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIRST, SECOND = jpeg(640, 480), jpeg(620, 480)
PATIENT = "Jane Doe, 1980"


async def test_report_holds_findings_picture_identity_and_context(
    page: Page, key: str, ingress: FakeIngress
):
    await send(page, key, a=FIRST, b=SECOND)
    await expect(page.locator("#progress")).to_have_text("2 of 2 images are analysed.")
    await open_report(page)
    await page.get_by_label("Patient").fill(PATIENT)
    await page.get_by_label("Indication").fill("HPV 16")
    await print_report(page)
    report = page.locator("#report")
    await expect(report).to_be_visible()
    await expect(page.locator("#workplace")).to_be_hidden()
    for words in (PATIENT, "HPV 16", "Not a diagnosis.", "fake 7", "portable, float32", "50.0 %"):
        await expect(report).to_contain_text(words)
    sections = report.locator(".report-image")
    await expect(sections).to_have_count(2)
    await expect(sections.locator("h2")).to_have_text(["a.jpg", "b.jpg"])
    await expect(sections.first.locator("tbody tr")).to_contain_text(["HSIL"])
    picture = sections.first.get_by_role("img", name="a.jpg with the lesions drawn on")
    await expect(picture).to_have_js_property("naturalWidth", 640)
    async for record in Record.objects.all():
        await expect(report).to_contain_text(str(record.request_id))


async def test_sizes_are_in_the_unit_of_the_screen_and_say_where_from(page: Page, key, ingress):
    ingress.answer = demo_answers()
    await send(page, key, a=example(1))
    row = page.locator("#report .lesions tbody tr").first
    await open_report(page)
    await print_report(page)
    await expect(row).to_contain_text(re.compile(r"[\d,]+ pixels.*[\d.]+ pixels"))
    await expect(page.locator("#report .scale")).to_have_text(re.compile("in pixels: no scale"))
    await page.emulate_media(media="screen")
    await page.get_by_role("button", name="Close").click()
    await pane(page).get_by_role("button", name="Scale").click()
    await pane(page).locator(".viewer-scale-other summary").click()
    field = pane(page).locator(".viewer-scale-pixel input")
    await field.fill("0.05")
    await field.press("Enter")
    first = pane(page).locator(".viewer-lesions li").filter(has_text="HSIL")
    area, diameter = (await first.locator(".viewer-size").inner_text()).split(", ")
    await page.keyboard.press("Escape")
    await open_report(page)
    await print_report(page)
    assert "mm²" in area
    await expect(row).to_contain_text(area)
    await expect(row).to_contain_text(diameter.removesuffix(" across"))
    await expect(page.locator("#report .scale")).to_contain_text("0.05 mm per pixel")


async def test_each_page_has_patient_number_and_demo_note(page: Page, key: str, ingress):
    ingress.answer = demo_answers()
    await send(page, key, a=example(1), b=example(2), c=example(3))
    await expect(page.locator("#progress")).to_have_text("3 of 3 images are analysed.")
    await open_report(page)
    await page.get_by_label("Patient").fill(PATIENT)
    await print_report(page)
    # Most browsers repeat the head of a table on each page; Safari begins an image with it.
    heads = page.locator(".report-sheet > thead")
    await expect(heads).to_have_count(3)
    for head in await heads.all():
        await expect(head).to_have_css("display", "table-header-group")
        for words in (PATIENT, "not stated", "Demo model: not for clinical use"):
            await expect(head).to_contain_text(words)
    await expect(page.locator("#report h1")).to_have_count(1)
    await expect(page.locator("#report .report-foot")).to_have_count(1)
    number = "getComputedStyle(document.documentElement).getPropertyValue('--page-number')"
    assert await page.evaluate(number) == '"Page " counter(page) " of " counter(pages) ""'
    pages = re.findall(rb"/Type ?/Page\b", await page.pdf(format="A4"))
    assert len(pages) == 3


async def test_report_of_selected_image_holds_no_other(page: Page, key: str, ingress):
    await send(page, key, a=FIRST, b=SECOND)
    await expect(page.locator("#progress")).to_have_text("2 of 2 images are analysed.")
    await open_report(page)
    await page.get_by_label("Only a.jpg").check()
    await print_report(page)
    await expect(page.locator(".report-image h2")).to_have_text(["a.jpg"])


async def test_report_says_that_image_needs_check(page: Page, key: str, ingress: FakeIngress):
    ingress.answer = answering(lambda sent: ungradable(sent, "glare", withheld=True))
    await send(page, key, a=FIRST)
    await expect(pane(page).locator(".count")).to_contain_text("Not analysed")
    await open_report(page)
    await print_report(page)
    report = page.locator("#report")
    await expect(report).to_contain_text("Not analysed: the image is not good enough")
    await expect(report).to_contain_text("The image has too much glare.")
    await expect(report).to_contain_text("This is not a finding.")
    await expect(report.locator(".lesions")).to_have_count(0)


async def test_context_of_patient_is_never_sent(page: Page, key: str, ingress: FakeIngress):
    sent: list[bytes] = []
    page.on("request", lambda request: sent.append(request.post_data_buffer or b""))
    page.on("request", lambda request: sent.append(request.url.encode()))
    await send(page, key, a=FIRST)
    await open_report(page)
    await page.get_by_label("Patient").fill(PATIENT)
    await page.get_by_label("Patient").press("Enter")  # closes the dialog, and sends no form
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.get_by_role("button", name="Report").click()
    await expect(page.get_by_label("Patient")).to_have_value(PATIENT)
    await print_report(page)
    assert all(b"Jane" not in body for body in sent)
    assert await page.evaluate("localStorage.length + sessionStorage.length") == 0


async def test_context_and_report_are_forgotten_with_images(page: Page, key: str, ingress):
    await send(page, key, a=FIRST)
    await open_report(page)
    await page.get_by_label("Patient").fill(PATIENT)
    await print_report(page)
    await page.emulate_media(media="screen")
    await page.get_by_role("button", name="Close").click()
    await page.get_by_role("button", name="New examination").click()
    await expect(page.locator("#report")).to_contain_text("a.jpg")
    await page.get_by_role("button", name="Remove them and begin").click()
    await expect(page.locator("#report")).to_be_empty()
    await find_lesions(page, b=SECOND)
    await expect(pane(page).locator(".count")).to_be_visible()
    await page.get_by_role("button", name="Report").click()
    await expect(page.get_by_label("Patient")).to_have_value("")


async def test_report_of_earlier_images_is_not_printed_again(page: Page, key: str, ingress):
    await send(page, key, a=FIRST)
    await open_report(page)
    await print_report(page)
    await page.emulate_media(media="screen")
    await page.get_by_role("button", name="Close").click()
    await choose(page, b=SECOND)
    await expect(page.locator("#report")).to_be_empty()
    await page.emulate_media(media="print")
    await expect(page.get_by_text("To print the findings")).to_be_visible()
    await expect(page.locator("canvas").first).to_be_hidden()


async def test_keys_for_printing_open_report(page: Page, key: str, ingress: FakeIngress):
    await send(page, key, a=FIRST)
    await expect(pane(page).locator(".count")).to_be_visible()
    await page.keyboard.press("Control+p")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await expect(page.get_by_label("Patient")).to_be_focused()


async def test_locked_page_prints_nothing_of_patient(page: Page, ingress: FakeIngress):
    await sync_to_async(person)()
    await sign_in(page)
    await find_lesions(page, a=FIRST)
    await expect(pane(page).locator(".count")).to_be_visible()
    await open_report(page)
    await page.get_by_label("Patient").fill(PATIENT)
    await print_report(page)
    await page.emulate_media(media="screen")
    await Session.objects.all().adelete()
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(page.locator("#locked")).to_be_visible()
    await expect(page.locator("#report")).to_be_empty()
    await expect(page.locator("body")).not_to_contain_text("a.jpg")
