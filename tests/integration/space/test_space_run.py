"""The demo of a Space, run for real: as user 1000, with 64 MB of /dev/shm and read-only code."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from playwright.sync_api import expect, sync_playwright

from cluster.space.assemble import assemble
from pipeline.schemas import Prediction
from serve_app.paths import ROOT
from tests.integration.gateway.conftest import CHROMIUM, QUIET
from tests.integration.space.hub import HUB, SPACE_HOST, running_hub
from tests.integration.space.running import CODE, UID, Space, running_space

pytestmark = pytest.mark.cluster

IMAGE = (ROOT / "weights" / "example.jpg").read_bytes()
AUDIT_KEY = "an audit key among the secrets of a Space"


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    code = tmp_path_factory.mktemp("assembled") / "space"
    assemble(ROOT, code)
    with running_space(code, LESIONSERVE_AUDIT_KEY=AUDIT_KEY) as space:
        yield space


def post(
    space: Space, forwarded: str, key: str | None = None, image: bytes = IMAGE
) -> httpx.Response:
    return httpx.post(
        f"{space.url}/predict/",
        files={"file": ("a.jpg", image)},
        headers={
            "Host": SPACE_HOST,
            "X-API-Key": key or space.key,
            "X-Forwarded-For": forwarded,
        },
        timeout=60,
    )


def test_space_answers_with_demo_model(space: Space):
    response = post(space, "203.0.113.1")
    assert response.status_code == 200, response.text
    prediction = Prediction.model_validate_json(response.content)
    assert (prediction.model.name, len(prediction.detections)) == ("demo", 4)


def test_all_processes_are_those_of_user_1000(space: Space):
    processes = space.processes()
    assert len(processes) > 5
    assert {uid for process in processes for uid in process.uids()} == {UID}


def test_shared_memory_is_that_of_space(space: Space):
    assert space.inside("df --output=size -B1 /dev/shm | tail -1").stdout.strip() == "67108864"


def test_code_cannot_be_changed(space: Space):
    assert space.process.environ()["PYTHONPATH"] == CODE
    done = space.inside(f"test -r {CODE}/gateway/asgi.py && touch {CODE}/gateway/asgi.py")
    assert done.returncode != 0
    assert "Read-only file system" in done.stderr or "Permission denied" in done.stderr


def test_only_gateway_listens_on_all_interfaces(space: Space):
    titles = {}
    for process in space.processes():
        for connection in process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                ip, port = connection.laddr
                if ip.removeprefix("::ffff:") not in ("127.0.0.1", "::1"):
                    titles[port] = " ".join(process.cmdline())
    gateway = titles.pop(httpx.URL(space.url).port)
    assert "gateway.asgi" in gateway
    # Ray Serve binds this one itself; it asks for Ray's token, and no Space publishes it.
    assert all(title.startswith("ray::ServeReplica") for title in titles.values()), titles


def test_visitor_cannot_choose_address(space: Space):
    forged = [f"198.51.100.{number}, 203.0.113.9, 10.16.3.80" for number in range(12)]
    # No images, since these are refused at once: the limit is that of a minute, and none may end.
    if (second := time.time() % 60) > 40:
        time.sleep(60 - second)
    statuses = [post(space, forwarded, image=b"none").status_code for forwarded in forged]
    assert statuses == [415] * 10 + [429] * 2
    assert post(space, "203.0.113.10").status_code == 200


def test_image_above_limit_is_refused(space: Space):
    response = httpx.post(
        f"{space.url}/predict/",
        files={"file": ("a.jpg", IMAGE + bytes(11 * 1024 * 1024))},
        headers={"Host": SPACE_HOST, "X-API-Key": space.key},
    )
    assert response.status_code == 413


def test_page_answers_example_in_frame_of_hub(space: Space, tmp_path: Path):
    if not CHROMIUM.is_file():
        pytest.skip("Chromium is not installed (Debian: chromium-headless-shell)")
    with running_hub(space.url, tmp_path) as arguments, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=[*QUIET, *arguments]
        )
        page = browser.new_page(ignore_https_errors=True, viewport={"width": 1280, "height": 900})
        page.goto(f"https://{HUB}/spaces/lab/demo")
        frame = page.frame_locator("iframe")
        expect(frame.get_by_role("note")).to_contain_text("not for clinical use")
        expect(frame.locator("#service")).to_have_text("Ready: demo 1.6.0", timeout=30_000)
        frame.get_by_role("button", name="synthetic image 1").click()
        expect(frame.locator(".count").first).to_contain_text("lesion", timeout=60_000)
        expect(frame.locator(".view canvas").first).to_be_visible()
        assert page.context.cookies() == []
        browser.close()


def test_nothing_is_kept_after_stop(space: Space):
    """The last test: it stops the Space."""
    assert len(list(space.folder.iterdir())) > 1, "the ready file and the temporary folder"
    processes = space.processes()
    assert space.stop() is not None
    assert list(space.folder.iterdir()) == []
    assert [process for process in processes if process.is_running()] == []
    assert space.output.read_text().endswith("stopping\n")
