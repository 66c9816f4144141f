"""The model watch on real pixels: clinics whose images change, through the whole stack."""

import json
import re
import sqlite3
import ssl
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from tests.e2e.up import Up, manage, running
from weights.recipe.dataset import write_dataset

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

IMAGES = 60
# Of no split that the demo was trained, validated or measured on.
FIRST_SEED = 7_000_000

Change = Callable[[np.ndarray], np.ndarray]


def scaled(*factors: float) -> Change:
    """Multiply blue, green and red."""
    return lambda picture: np.clip(picture * np.array(factors), 0, 255).astype(np.uint8)


FINDINGS = {"detections", "scores", "classes", "areas"}
# What changes in a clinic, the groups that have to notice it, and those that may.
CLINICS: Mapping[str, tuple[Change, set[str], set[str]]] = {
    "unchanged": (lambda picture: picture, set(), set()),
    "out of focus": (
        lambda picture: cv2.GaussianBlur(picture, (0, 0), 1.0),
        {"quality"},
        {"quality", "embedding"},
    ),
    # The model finds less in the dark, and is less sure of it.
    "darker": (
        scaled(0.55, 0.55, 0.55),
        {"quality", "embedding"},
        {"quality", "embedding", *FINDINGS},
    ),
    "red lamp": (scaled(1, 1, 1.25), {"quality"}, {"quality", "embedding", *FINDINGS}),
}


def post(up: Up, client: httpx.Client, key: str, picture: np.ndarray, examination: str) -> str:
    file = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
    answer = client.post(
        f"{up.url}/predict/?visualization=none&masks=none",
        files={"file": ("a.jpg", file)},
        headers={"X-API-Key": key, "X-Examination-Id": examination},
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["request_id"]


def send(up: Up, key: str, pictures: Sequence[np.ndarray], name: str) -> list[str]:
    """Send each as an examination of its own. Return the request ids."""
    context = ssl.create_default_context(cafile=up.ca)
    with httpx.Client(verify=context, timeout=60) as client, ThreadPoolExecutor(2) as threads:
        sent = [
            threads.submit(post, up, client, key, picture, f"{name}-{number}")
            for number, picture in enumerate(pictures)
        ]
        return [answer.result() for answer in sent]


def let_hours_pass(data: Path) -> None:
    """Move what was observed into the past, as if the clinics had closed since."""
    with closing(sqlite3.connect(data / "lesionserve.sqlite3")) as database:
        database.execute(
            "UPDATE usage_observation SET at = strftime('%Y-%m-%d %H:%M:%f', at, '-3 hours')"
        )
        database.execute("DELETE FROM monitor_watchalarm")
        database.execute("DELETE FROM monitor_watchstate")
        database.commit()


def test_changed_images_alarm_their_group_and_no_other(tmp_path):
    write_dataset(tmp_path / "scenes", FIRST_SEED, IMAGES, workers=2)
    files = sorted((tmp_path / "scenes/images").iterdir())
    pictures = [cv2.imread(str(file)) for file in files]
    data = tmp_path / "data"
    with running(tmp_path) as up:
        after: dict[str, list[str]] = {}
        for clinic, (change, _, _) in CLINICS.items():
            issued = manage(data, f"issue_key --name camera --organisation '{clinic}'")
            key = issued.stdout.strip()
            send(up, key, pictures, "before")
            after[clinic] = send(up, key, [change(picture) for picture in pictures], "after")
    let_hours_pass(data)
    status = manage(data, "watch status")
    assert status.returncode == 0, status.stderr
    found = {clinic: alarms_of(data, clinic) for clinic in CLINICS}
    for clinic, (_, noticed, allowed) in CLINICS.items():
        groups = {group for group, _ in found[clinic]}
        assert noticed <= groups <= allowed, f"{clinic}: {status.stdout}"
        for _, examples in found[clinic]:
            assert set(examples) <= set(after[clinic])
    assert re.search("Images (are less sharp|have less detail) than", status.stdout)
    replayed = manage(data, "watch replay")
    assert replayed.returncode == 0, replayed.stdout
    assert len(re.findall("the same", replayed.stdout)) == len(CLINICS)


def alarms_of(data: Path, clinic: str) -> list[tuple[str, list[str]]]:
    """Return the group and the examples of each alarm."""
    with closing(sqlite3.connect(data / "lesionserve.sqlite3")) as database:
        rows = database.execute(
            'SELECT "group", examples FROM monitor_watchalarm JOIN people_organisation o '
            "ON o.id = organisation_id WHERE o.name = ?",
            [clinic],
        ).fetchall()
    return [(group, json.loads(examples)) for group, examples in rows]
