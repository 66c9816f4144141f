"""Reviewing an answer on the clinician's page: verdicts, outlines, missed lesions, comments."""

import json
import re

import pytest
from asgiref.sync import sync_to_async
from playwright.async_api import Locator, Page, expect

from gateway.audit.models import Record
from gateway.reviews.models import Verdict, Version
from tests.integration.gateway.browser import (
    card,
    find_lesions,
    open_report,
    pane,
    print_report,
    select,
    sign_in,
)
from tests.integration.gateway.client import jpeg
from tests.integration.gateway.demo_model import demo_answers, example
from tests.integration.gateway.ingress import FakeIngress
from tests.integration.gateway.test_sessions import person

pytestmark = pytest.mark.asyncio(loop_scope="module")


def review(page: Page) -> Locator:
    """Return the column of the list, with the review in it."""
    return pane(page).locator(".viewer-side")


def toggle(page: Page) -> Locator:
    return review(page).get_by_role("button", name="Review", exact=True)


def lesion(page: Page, number: int) -> Locator:
    return review(page).get_by_role("group", name=f"Lesion {number},")


async def open_review(page: Page, ingress: FakeIngress) -> None:
    """Sign a clinician in, have the demo model look at its first example, and open the review."""
    ingress.answer = demo_answers()
    await sync_to_async(person)()
    await sign_in(page)
    await find_lesions(page, scan=example(1))
    await expect(pane(page).locator(".viewer-picture")).to_be_visible()
    await toggle(page).click()
    await expect(review(page).get_by_role("button", name="Save review")).to_be_disabled()


async def save(page: Page, version: int) -> None:
    await review(page).get_by_role("button", name="Save review").click()
    await expect(review(page).locator(".saved")).to_have_text(f"Saved as version {version}.")


async def saved() -> list[dict[str, object]]:
    return [json.loads(version.content) async for version in Version.objects.order_by("pk")]


async def test_verdicts_are_saved_with_outlines(page: Page, ingress: FakeIngress):
    await open_review(page, ingress)
    await lesion(page, 1).get_by_text("Reject").click()
    await lesion(page, 2).get_by_text("Other class").click()
    await lesion(page, 2).get_by_label("Class of").select_option("carcinoma")
    rest = review(page).locator(".rest")
    await expect(rest).to_have_text("1 of 3 lesions has no verdict.")
    await review(page).get_by_role("button", name="Accept all others").click()
    await expect(rest).to_be_hidden()
    await save(page, 1)
    (content,) = await saved()
    assert content.get("missed") is None, "nothing was said of missed lesions"
    first, second, third = content["lesions"]
    assert first["verdict"] == "reject"
    assert first.get("outline") is None
    assert (second["verdict"], second["new_label"]) == ("relabel", "carcinoma")
    assert third["verdict"] == "accept"
    assert all(len(ring) >= 6 for ring in third["outline"])


async def test_verdicts_stand_in_the_list_beside_the_picture(page: Page, ingress: FakeIngress):
    await page.set_viewport_size({"width": 1366, "height": 768})
    await open_review(page, ingress)
    picture, save_button = pane(page).locator(".viewer-picture"), review(page).locator(".save")
    height = (await box_of(picture))[3]
    rows = review(page).locator(".viewer-lesions li")
    await expect(rows.filter(has=page.get_by_role("radio", name="Accept"))).to_have_count(3)
    await lesion(page, 3).get_by_text("Accept").click()
    assert await seen(rows) == 3, "with a lesion chosen"
    assert await seen(save_button) == 1
    await review(page).get_by_role("button", name="Filter").click()
    assert await seen(rows) >= 1
    await toggle(page).click()
    await expect(save_button).to_be_hidden()
    assert (await box_of(picture))[3] == height


async def box_of(locator: Locator) -> tuple[float, float, float, float]:
    box = await locator.bounding_box()
    assert box is not None
    return box["x"], box["y"], box["width"], box["height"]


async def seen(locator: Locator) -> int:
    """Return how many of the elements are in sight, but for at most a tenth of each."""
    count: int = await locator.evaluate_all(
        """async (elements) => {
          const shares = await Promise.all(elements.map((element) => new Promise((resolve) => {
            const tell = ([entry]) => resolve(entry.intersectionRatio);
            new IntersectionObserver(tell).observe(element);
          })));
          return shares.filter((share) => share > 0.9).length;
        }"""
    )
    return count


async def test_review_is_saved_once_other_class_is_named(page: Page, ingress: FakeIngress):
    await open_review(page, ingress)
    await correct(page, 2)
    await lesion(page, 2).get_by_text("Other class").click()
    choice = lesion(page, 2).get_by_label("Class of")
    await expect(choice).to_have_value("")
    await review(page).get_by_role("button", name="Accept all others").click()
    await expect(review(page).locator(".rest")).to_be_hidden()
    await expect(pane(page).locator(".headline .reviewed")).to_have_text(
        "Reviewed, not saved: 3 lesions: carcinoma, HSIL, LSIL (1 of another class, not named yet)"
    )
    await review(page).get_by_role("button", name="Save review").click()
    await expect(review(page).locator(".saved")).to_have_text(
        "Choose the other class of lesion 2 first."
    )
    await expect(choice).to_be_focused()
    await expect(choice).to_have_attribute("aria-invalid", "true")
    assert await saved() == []
    await review(page).get_by_label("Comment").fill("of another class")
    await expect(choice).to_have_attribute("aria-invalid", "true")
    await hide_class(page, "LSIL")
    await review(page).get_by_role("button", name="Save review").click()
    await expect(choice).to_be_focused()
    await choice.select_option("carcinoma")
    await expect(choice).not_to_have_attribute("aria-invalid", "true")
    await save(page, 1)
    (content,) = await saved()
    said = content["lesions"][1]
    assert (said["verdict"], said["new_label"]) == ("relabel", "carcinoma")
    assert said["outline"] != content["lesions"][0]["outline"]
    await lesion(page, 2).get_by_text("Accept").click()
    await lesion(page, 2).get_by_text("Other class").click()
    await expect(choice).to_have_value("")


async def hide_class(page: Page, name: str) -> None:
    await review(page).get_by_role("button", name="Filter").click()
    await review(page).get_by_role("checkbox", name=name).uncheck()


async def test_correction_stays_with_other_choices(page: Page, ingress: FakeIngress):
    """The arrow keys pass Reject on the way from Accept to Other class."""
    await open_review(page, ingress)
    await correct(page, 2)
    await lesion(page, 2).get_by_role("radio", name="Accept").focus()
    await page.keyboard.press("ArrowRight")
    await expect(lesion(page, 2).get_by_role("radio", name="Reject")).to_be_checked()
    await expect(lesion(page, 2).get_by_text("outline corrected")).to_be_hidden()
    await page.keyboard.press("ArrowRight")
    await expect(lesion(page, 2).get_by_role("radio", name="Other class")).to_be_checked()
    await expect(lesion(page, 2).get_by_text("outline corrected")).to_be_visible()
    await lesion(page, 2).get_by_role("button", name="Edit outline").click()
    await page.get_by_role("button", name="Done", exact=True).click()
    await lesion(page, 2).get_by_label("Class of").select_option("carcinoma")
    await save(page, 1)
    (content,) = await saved()
    (said,) = content["lesions"]
    corrected = said["outline"]
    await lesion(page, 2).get_by_role("button", name="Undo correction").click()
    await save(page, 2)
    _, content = await saved()
    assert content["lesions"][0]["outline"] != corrected


async def test_only_other_class_needs_no_choice(page: Page, ingress: FakeIngress):
    await sync_to_async(person)()
    await sign_in(page)
    await find_lesions(page, a=jpeg())
    await toggle(page).click()
    await lesion(page, 1).get_by_text("Other class").click()
    await expect(lesion(page, 1).get_by_label("Class of")).not_to_have_value("")
    await save(page, 1)


async def test_lesions_that_the_filter_hides_are_not_accepted(page: Page, ingress: FakeIngress):
    await open_review(page, ingress)
    await review(page).get_by_role("button", name="Filter").click()
    await review(page).get_by_role("checkbox", name="HSIL").uncheck()
    await review(page).get_by_role("button", name="Accept all others").click()
    await expect(review(page).locator(".rest")).to_have_text("1 of 3 lesions has no verdict.")
    await expect(review(page).get_by_role("button", name="Accept all others")).to_be_hidden()
    await review(page).get_by_role("button", name="Show all").click()
    await expect(lesion(page, 1).get_by_role("radio", name="Accept")).not_to_be_checked()
    await review(page).get_by_role("button", name="Accept all others").click()
    await expect(lesion(page, 1).get_by_role("radio", name="Accept")).to_be_checked()


async def test_headline_has_the_model_and_what_the_review_leaves(page: Page, ingress: FakeIngress):
    await open_review(page, ingress)
    count, reviewed = pane(page).locator(".count").first, pane(page).locator(".headline .reviewed")
    found = "3 lesions found: carcinoma, HSIL, LSIL"
    await lesion(page, 2).get_by_text("Accept").click()
    await expect(count).to_have_text(found)
    await expect(reviewed).to_be_hidden()
    await lesion(page, 1).get_by_text("Reject").click()
    await expect(count).to_have_text(f"Model: {found}")
    await expect(reviewed).to_have_text(
        "Reviewed, not saved: 2 lesions: carcinoma, LSIL (1 not judged)"
    )
    await draw(page, "HSIL")
    await review(page).get_by_role("button", name="Accept all others").click()
    await save(page, 1)
    words = "Reviewed: 3 lesions: carcinoma, HSIL, LSIL"
    await expect(reviewed).to_have_text(words)
    await expect(card(page, "scan.jpg").locator(".state")).to_have_text(f"Model: {found}")
    await expect(card(page, "scan.jpg").locator(".reviewed")).to_have_text(words)
    await find_lesions(page, other=jpeg(70))
    await select(page, "other.jpg")
    await expect(reviewed).to_be_hidden()
    await select(page, "scan.jpg")
    await review(page).get_by_label("The image").select_option("glare")
    await expect(reviewed).to_have_text(
        "Reviewed, not saved: The image cannot be judged. The image has too much glare."
    )


async def test_own_earlier_review_is_seen_again(page: Page, ingress: FakeIngress):
    await open_review(page, ingress)
    await lesion(page, 1).get_by_text("Accept").click()
    await review(page).get_by_label("Comment").fill("acetic acid, two minutes")
    await review(page).get_by_label("The image").select_option("glare")
    await save(page, 1)
    await find_lesions(page, other=jpeg(70))
    await select(page, "scan.jpg")
    await expect(lesion(page, 1).get_by_role("radio", name="Accept")).to_be_checked()
    await expect(review(page).get_by_label("Comment")).to_have_value("acetic acid, two minutes")
    await expect(review(page).get_by_label("The image")).to_have_value("glare")
    await expect(review(page).locator(".history")).to_contain_text("Version 1, nurse")


async def test_unsaved_review_stays_while_another_image_is_shown(page: Page, ingress: FakeIngress):
    await open_review(page, ingress)
    await lesion(page, 1).get_by_text("Reject").click()
    await find_lesions(page, other=jpeg(70))
    await select(page, "other.jpg")
    await select(page, "scan.jpg")
    await expect(lesion(page, 1).get_by_role("radio", name="Reject")).to_be_checked()
    await expect(review(page).locator(".saved")).to_have_text("Not saved yet.")
    assert await saved() == []


async def test_missed_lesion_is_drawn_with_the_keyboard(page: Page, ingress: FakeIngress):
    await open_review(page, ingress)
    await review(page).locator(".missed-class").select_option("LSIL")
    await review(page).get_by_role("button", name="Draw its outline").press("Enter")
    right, down = ["ArrowRight"] * 4, ["ArrowDown"] * 4
    for key in ("Space", *right, "Space", *down, "Space", "Enter", "Enter"):
        await page.keyboard.press(key)
    await expect(review(page).locator(".missed li")).to_have_count(1)
    await save(page, 1)
    ((missed,),) = [content["missed"] for content in await saved()]
    assert missed["label"] == "LSIL"
    assert len(missed["outline"][0]) == 6


async def test_missed_lesion_has_no_class_until_one_is_chosen(page: Page, ingress: FakeIngress):
    await open_review(page, ingress)
    choice = review(page).locator(".missed-class")
    await expect(choice).to_have_value("")
    await review(page).get_by_role("button", name="Draw its outline").click()
    await expect(review(page)).to_contain_text("Choose the class of the lesion first.")
    await expect(choice).to_be_focused()
    await expect(pane(page).locator(".viewer-editor")).to_be_hidden()
    await draw(page, "HSIL")
    await expect(choice).to_have_value("")
    given = review(page).get_by_label("Class of the missed lesion A")
    await given.select_option("carcinoma")
    await expect(given).to_be_focused()
    await expect(missed_rows(page)).to_contain_text(["Acarcinoma"])
    await expect(signs(page)).to_contain_text(["missed by the model"])
    await save(page, 1)
    ((missed,),) = [content["missed"] for content in await saved()]
    assert missed["label"] == "carcinoma"


async def test_open_outline_stays_while_another_image_is_shown(page: Page, ingress: FakeIngress):
    await open_review(page, ingress)
    await find_lesions(page, other=jpeg(70))
    await select(page, "scan.jpg")
    await review(page).locator(".missed-class").select_option("HSIL")
    await review(page).get_by_role("button", name="Draw its outline").press("Enter")
    for key in ("Space", *["ArrowRight"] * 4, "Space"):
        await page.keyboard.press(key)
    editor = pane(page).locator(".viewer-editor")
    await card(page, "scan.jpg").locator(".pick").press("ArrowDown")
    await expect(card(page, "other.jpg").locator(".pick")).to_be_focused()
    await expect(editor).to_be_hidden()
    await page.keyboard.press("ArrowUp")
    await expect(editor).to_contain_text("Outline of a new lesion")
    await expect(card(page, "scan.jpg").locator(".pick")).to_be_focused()
    picture = pane(page).locator(".viewer-picture")
    for key in (*["ArrowDown"] * 4, "Space", "Enter", "Enter"):
        await picture.press(key)
    await expect(missed_rows(page)).to_contain_text(["AHSIL"])
    await save(page, 1)
    ((missed,),) = [content["missed"] for content in await saved()]
    assert len(missed["outline"][0]) == 6


async def test_outline_without_changes_is_closed_with_its_image(page: Page, ingress: FakeIngress):
    await open_review(page, ingress)
    await find_lesions(page, other=jpeg(70))
    await select(page, "scan.jpg")
    await lesion(page, 1).get_by_role("button", name="Edit outline").click()
    await select(page, "other.jpg")
    await select(page, "scan.jpg")
    await expect(lesion(page, 1)).to_be_visible()
    await expect(pane(page).locator(".viewer-editor")).to_be_hidden()


async def test_review_cannot_be_saved_without_the_open_outline(page: Page, ingress: FakeIngress):
    await open_review(page, ingress)
    await lesion(page, 1).get_by_text("Accept").click()
    await review(page).locator(".missed-class").select_option("LSIL")
    await review(page).get_by_role("button", name="Draw its outline").click()
    await expect(review(page)).to_be_hidden()
    await review(page).locator(".save").evaluate("(button) => button.click()")
    editor = pane(page).locator(".viewer-editor")
    await expect(editor).to_contain_text("Finish this outline, or cancel it, before you save.")
    assert await saved() == []
    await editor.get_by_role("button", name="Cancel").click()
    await save(page, 1)


async def test_that_no_lesion_was_missed_is_said_by_a_check_mark(page: Page, ingress: FakeIngress):
    await open_review(page, ingress)
    await review(page).get_by_label("It missed none").check()
    await save(page, 1)
    (content,) = await saved()
    assert content["missed"] == []
    await expect(review(page).get_by_label("It missed none")).to_be_disabled()


async def test_corrected_outline_is_saved(page: Page, ingress: FakeIngress):
    await open_review(page, ingress)
    await lesion(page, 1).get_by_text("Accept").click()
    await save(page, 1)
    await lesion(page, 1).get_by_role("button", name="Edit outline").click()
    for key in ("n", "ArrowLeft", "ArrowLeft"):
        await page.keyboard.press(key)
    await pane(page).locator('.viewer-editor [data-edit="done"]').click()
    await expect(lesion(page, 1).get_by_text("outline corrected")).to_be_visible()
    await save(page, 2)
    before, after = (content["lesions"][0]["outline"] for content in await saved())
    assert before != after


async def test_picture_is_shown_as_before_once_outline_is_edited(page: Page, ingress: FakeIngress):
    await open_review(page, ingress)
    zoom = pane(page).locator(".viewer-zoom")
    whole = await zoom.inner_text()
    for end in ("Cancel", "Done"):
        await lesion(page, 3).get_by_role("button", name="Edit outline").click()
        await expect(zoom).not_to_have_text(whole)
        await page.get_by_role("button", name=end, exact=True).click()
        await expect(zoom).to_have_text(whole)


async def test_whole_image_stays_whole_with_first_verdict(page: Page, ingress: FakeIngress):
    """A line below the headline makes the picture lower."""
    await page.set_viewport_size({"width": 1366, "height": 768})
    await open_review(page, ingress)
    await lesion(page, 1).get_by_text("Reject").click()
    await expect(pane(page).locator(".headline .reviewed")).to_be_visible()
    await page.wait_for_timeout(400)  # longer than a move of the picture
    whole = pane(page).get_by_role("button", name="Whole image")
    await expect(whole).to_have_attribute("aria-pressed", "true")
    await expect(pane(page).locator(".viewer-overview")).to_be_hidden()


async def test_missed_lesion_is_selected_and_in_sight_once_drawn(page: Page, ingress: FakeIngress):
    await page.set_viewport_size({"width": 1366, "height": 640})
    await open_review(page, ingress)
    await draw(page, "HSIL")
    row = missed_rows(page).first
    await expect(row).to_have_attribute("aria-current", "true")
    assert await seen(row) == 1


async def test_outline_that_was_not_changed_is_no_correction(page: Page, ingress: FakeIngress):
    await open_review(page, ingress)
    await lesion(page, 1).get_by_role("button", name="Edit outline").click()
    await pane(page).locator('.viewer-editor [data-edit="done"]').click()
    await expect(lesion(page, 1).get_by_role("radio", name="Accept")).not_to_be_checked()
    await expect(review(page).get_by_role("button", name="Save review")).to_be_disabled()


async def test_review_that_was_saved_elsewhere_is_not_overwritten(page: Page, ingress: FakeIngress):
    await open_review(page, ingress)
    await lesion(page, 1).get_by_text("Accept").click()
    await save(page, 1)
    request = (await sync_to_async(Version.objects.get)()).record_id
    assert request is not None
    await page.evaluate(
        """async () => {
          const id = document.querySelector(".provenance").textContent.match(/[0-9a-f-]{36}/)[0];
          const token = document.cookie.match(/csrftoken=([^;]+)/)[1];
          const headers = { "X-CSRFToken": token, "Content-Type": "application/json" };
          const body = JSON.stringify({ comment: "from another tab" });
          await fetch(`/records/${id}/feedback`, { method: "POST", headers, body });
        }"""
    )
    await lesion(page, 1).get_by_text("Reject").click()
    await review(page).get_by_role("button", name="Save review").click()
    await expect(review(page).get_by_role("alert")).to_contain_text("saved elsewhere")
    await review(page).get_by_role("button", name="Read the saved review").click()
    await expect(review(page).get_by_label("Comment")).to_have_value("from another tab")
    await expect(lesion(page, 1).get_by_role("radio", name="Accept")).to_be_checked()


async def test_chosen_lesion_is_selected_in_the_picture_too(page: Page, ingress: FakeIngress):
    await open_review(page, ingress)
    await lesion(page, 2).get_by_text("Accept").click()
    row = pane(page).locator(".viewer-row").filter(has_text="LSIL")
    await expect(row).to_have_attribute("aria-pressed", "true")
    await lesion(page, 1).get_by_role("radio", name="Accept").focus()
    await page.keyboard.press("ArrowRight")  # of the verdicts, not of the list
    await expect(lesion(page, 1).get_by_role("radio", name="Reject")).to_be_checked()
    first = pane(page).locator(".viewer-row").filter(has_text="HSIL")
    await expect(first).to_have_attribute("aria-pressed", "true")
    await expect(row).to_have_attribute("aria-pressed", "false")


def signs(page: Page) -> Locator:
    """Return what the signs of the review in the picture are said to mean."""
    return page.locator(".viewer-legend li:visible")


def missed_rows(page: Page) -> Locator:
    return review(page).locator(".missed li")


async def draw(page: Page, label: str, *moves: str) -> None:
    """Draw a triangle to the lower right of the picture's middle, or of where the keys move to."""
    await review(page).locator(".missed-class").select_option(label)
    await review(page).get_by_role("button", name="Draw its outline").press("Enter")
    right, down = ["ArrowRight"] * 4, ["ArrowDown"] * 4
    for key in (*moves, "Space", *right, "Space", *down, "Space", "Enter", "Enter"):
        await page.keyboard.press(key)


async def correct(page: Page, number: int) -> None:
    """Move a point of the outline of a lesion."""
    await lesion(page, number).get_by_role("button", name="Edit outline").click()
    for key in ("n", "ArrowLeft", "ArrowLeft", "Enter"):
        await page.keyboard.press(key)
    await expect(lesion(page, number).get_by_text("outline corrected")).to_be_visible()


async def test_letters_of_missed_lesions_stay_when_saved(page: Page, ingress: FakeIngress):
    await open_review(page, ingress)
    await draw(page, "HSIL")
    await draw(page, "LSIL", *["ArrowUp"] * 6)
    await expect(missed_rows(page)).to_contain_text(["ALSIL", "BHSIL"])
    await expect(signs(page)).to_contain_text(["missed by the model", "not saved"])
    await save(page, 1)
    await expect(missed_rows(page)).to_contain_text(["ALSIL", "BHSIL"])
    await expect(signs(page)).to_have_count(1)
    remove = review(page).get_by_role("button", name="Remove the missed lesion A, LSIL")
    await remove.click()
    await expect(missed_rows(page)).to_contain_text(["AHSIL"])


async def test_missed_lesion_in_picture_and_in_list_mark_each_other(
    page: Page, ingress: FakeIngress
):
    await open_review(page, ingress)
    await draw(page, "LSIL")
    row, said = missed_rows(page), pane(page).locator(".viewer-said")
    await row.get_by_role("button", name="A LSIL").focus()
    await expect(said).to_have_text("Missed lesion A: LSIL, drawn in the review.")
    await expect(row).to_have_attribute("aria-current", "true")
    await pane(page).locator(".viewer-picture").press("n")
    await expect(row).not_to_have_attribute("aria-current", "true")
    await pane(page).locator(".viewer-picture").press("p")
    await expect(row).to_have_attribute("aria-current", "true")


async def test_signs_of_review_stay_with_their_image(page: Page, ingress: FakeIngress):
    await open_review(page, ingress)
    await lesion(page, 1).get_by_text("Reject").click()
    await expect(signs(page)).to_have_text(["Dotted: rejected", "This review is not saved"])
    await toggle(page).click()  # closes it
    await expect(lesion(page, 1)).to_have_count(0)
    await find_lesions(page, other=jpeg(70))
    await select(page, "other.jpg")
    await expect(signs(page)).to_have_count(0)
    await page.get_by_role("button", name="Compare").click()
    await expect(page.locator(".pane").nth(1).locator(".viewer-legend li")).to_have_count(2)
    await expect(pane(page).locator(".viewer-legend li")).to_have_count(0)
    await select(page, "scan.jpg")  # which is on both sides now
    await expect(pane(page).locator(".viewer-legend li")).to_have_count(2)
    await toggle(page).click()
    await lesion(page, 1).get_by_text("Accept").click()
    await expect(page.locator(".viewer-legend li")).to_have_count(0)


async def test_correction_of_outline_is_undone(page: Page, ingress: FakeIngress):
    await open_review(page, ingress)
    await correct(page, 1)
    rows = pane(page).locator(".viewer-lesions li")
    row = rows.filter(has=page.get_by_role("group", name="Lesion 1,"))
    await expect(row).to_contain_text("Review: outline corrected")
    await lesion(page, 1).get_by_role("button", name="Undo correction").click()
    await expect(row).not_to_contain_text("Review:")
    await expect(lesion(page, 1).get_by_role("button", name="Edit outline")).to_be_focused()
    await expect(lesion(page, 1).get_by_role("radio", name="Accept")).to_be_checked()


async def test_report_holds_review_and_whether_it_is_saved(page: Page, ingress: FakeIngress):
    await open_review(page, ingress)
    await lesion(page, 1).get_by_text("Reject").click()
    await lesion(page, 2).get_by_text("Other class").click()
    await lesion(page, 2).get_by_label("Class of").select_option("carcinoma")
    await draw(page, "LSIL")
    await review(page).get_by_label("Comment").fill("after acetic acid")
    await open_report(page)
    await expect(page.get_by_label("Examiner")).to_have_value("nurse")
    await expect(page.get_by_label("Clinic", exact=True)).to_have_value("a clinic")
    await page.get_by_label("Date of examination").fill("2026-11-02")
    await print_report(page)
    report = page.locator("#report")
    rows = report.locator(".report-image .lesions tbody tr")
    await expect(rows.locator("td:first-child")).to_have_text(["3", "1", "2", "A"])
    await expect(rows.locator(".said")).to_have_text(
        ["not judged", "rejected: no lesion", "of another class: carcinoma", "missed by the model"]
    )
    await expect(report.locator(".said-count")).to_have_text(
        "Clinician: 1 rejected, 1 of another class, 1 not judged, 1 missed by the model"
    )
    await expect(report.locator(".report-review p")).to_have_text(
        [
            "This review is not saved.",
            "1 of 3 lesions is not judged.",
            "Comment: after acetic acid",
        ]
    )
    await expect(report.locator(".report-legend li")).to_have_text(
        [
            "Dashed, with a letter: missed by the model",
            "Dotted: rejected",
            "Another class: 2",
            "This review is not saved",
        ]
    )
    await expect(report.locator("thead").first).to_contain_text("2026-11-02")
    await page.emulate_media(media="screen")
    await page.get_by_role("button", name="Close").click()
    await save(page, 1)
    await review(page).get_by_label("The image").select_option("other")
    await open_report(page)
    await print_report(page)
    saved_words = re.compile(r"Reviewed by nurse, saved 20.* as version 1, and changed since")
    await expect(report.locator(".report-review p").first).to_have_text(saved_words)
    await expect(report.locator(".said-count")).to_have_text(
        "Clinician: The image cannot be judged."
    )


async def test_each_image_of_a_comparison_has_its_review(page: Page, ingress: FakeIngress):
    await open_review(page, ingress)
    await find_lesions(page, other=example(2))
    await page.get_by_role("button", name="Compare").click()
    for index, verdict in enumerate(("Reject", "Accept")):
        side = page.locator(".pane").nth(index).locator(".viewer-side")
        button = side.get_by_role("button", name="Review", exact=True)
        if await button.get_attribute("aria-expanded") == "false":
            await button.click()
        await side.get_by_role("group", name="Lesion 1,").get_by_text(verdict).click()
        await side.get_by_role("button", name="Save review").click()
        await expect(side.locator(".saved")).to_have_text("Saved as version 1.")
    await expect(lesion(page, 1).get_by_role("radio", name="Reject")).to_be_checked()
    verdicts = [content["lesions"][0]["verdict"] for content in await saved()]
    assert verdicts == ["reject", "accept"]


def earlier(page: Page) -> Locator:
    return review(page).locator(".earlier-reviews > li")


async def review_again(page: Page, ingress: FakeIngress) -> None:
    """Save a review, and have the same image analysed again."""
    await open_review(page, ingress)
    await lesion(page, 1).get_by_text("Reject").click()
    await correct(page, 2)
    await draw(page, "LSIL")
    await review(page).get_by_label("Comment").fill("after acetic acid")
    await save(page, 1)
    await find_lesions(page, again=example(1))
    await select(page, "again.jpg")


async def test_own_review_of_the_same_image_is_found_and_taken_over(page: Page, ingress):
    await review_again(page, ingress)
    await expect(review(page).locator(".earlier-latest")).to_contain_text("Reviewed by nurse, 20")
    await expect(earlier(page)).to_contain_text(["The answer was that of demo"])
    assert await lesion(page, 1).get_by_role("radio", name="Reject").is_checked() is False
    await earlier(page).get_by_role("button", name="Show").click()
    await expect(earlier(page).locator("li")).to_have_text(
        [
            "Lesion 1, HSIL: rejected: no lesion",
            "Lesion 2, LSIL: accepted, outline corrected",
            "Lesion 3: not judged",
            "The model missed: A LSIL.",
            "Comment: after acetic acid",
        ]
    )
    await earlier(page).get_by_role("button", name="Take over").click()
    await expect(lesion(page, 1).get_by_role("radio", name="Reject")).to_be_checked()
    await expect(review(page).locator(".missed li")).to_have_count(1)
    await expect(review(page).locator(".saved")).to_have_text("Not saved yet.")
    await save(page, 1)
    first, second = await saved()
    assert first == second


async def test_review_of_another_answer_is_shown_and_not_taken_over(page: Page, ingress):
    await open_review(page, ingress)
    await lesion(page, 1).get_by_text("Reject").click()
    await save(page, 1)
    for rows in (Version, Verdict):  # as if a colleague had said it
        await rows.objects.all().aupdate(author="user:mara")
    record = await Record.objects.aget()
    for number, (changes, reason) in enumerate(
        (
            ({"bundle_sha256": "e" * 64}, "another model"),
            ({"model_precision": "int8"}, "another engine, precision or threshold"),
            ({"class_counts": {"HSIL": 3}}, "other lesions"),
        )
    ):
        before = {name: getattr(record, name) for name in changes}
        await Record.objects.filter(pk=record.pk).aupdate(**changes)
        await find_lesions(page, **{f"again{number}": example(1)})
        await select(page, f"again{number}.jpg")
        await earlier(page).get_by_role("button", name="Show: Reviewed by mara").click()
        await expect(earlier(page)).to_contain_text("Lesion 1, HSIL: rejected: no lesion")
        await expect(earlier(page)).to_contain_text(reason)
        await expect(earlier(page)).to_contain_text("Whether outlines were corrected is known only")
        await expect(earlier(page).get_by_role("button", name="Take over")).to_have_count(0)
        await Record.objects.filter(pk=record.pk).aupdate(**before)


async def test_measured_lines_are_in_the_column_of_an_open_review(page: Page, ingress: FakeIngress):
    await page.set_viewport_size({"width": 1366, "height": 768})
    await open_review(page, ingress)
    await pane(page).locator(".viewer-picture").focus()
    for pressed in ("m", "Enter", "ArrowDown", "Enter", "Escape"):
        await page.keyboard.press(pressed)
    line = pane(page).locator(".viewer-lines li")
    await expect(line).to_have_count(1)
    box = await pane(page).locator(".viewer-lines").bounding_box()
    assert box is not None
    assert box["height"] > 20
    await line.get_by_role("button").click()
    await expect(line).to_have_count(0)
