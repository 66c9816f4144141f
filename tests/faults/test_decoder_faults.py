"""Costly and hostile images through the whole stack, while ordinary ones are asked for."""

import io
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest
from PIL import Image

from benchmarks.decode import worst_files
from benchmarks.stub import Spec
from tests.faults.stack import (
    IMAGE,
    Crowd,
    GatewayProcess,
    compare_books,
    finish,
    processes_of,
    statuses,
    whole_stack,
)
from tests.waiting import until

pytestmark = pytest.mark.faults
CLIENTS = 4
DECODER = "pipeline.image.decoder_process"


def post(gateway: GatewayProcess, data: bytes) -> httpx.Response:
    headers = {"X-API-Key": gateway.key}
    return httpx.post(
        f"{gateway.url}/predict/",
        files={"file": ("a", data)},
        params={"visualization": "none", "masks": "none"},
        headers=headers,
        timeout=120,
        trust_env=False,
    )


def many_exif_segments() -> bytes:
    segment = b"\xff\xe1" + struct.pack(">H", 542) + b"Exif\0\0" + bytes(534)
    return IMAGE[:2] + segment * 60_000 + IMAGE[2:]


def decoders(pid: int) -> list[psutil.Process]:
    """Return the decoder processes below a process."""
    return [
        process
        for process in psutil.Process(pid).children(recursive=True)
        if DECODER in process.cmdline()
    ]


def test_hostile_images_affect_no_other_request(tmp_path):
    hostile = many_exif_segments()
    costly = dict(worst_files())
    files = [costly[name]() for name in ("JPEG, progressive CMYK, turned", "WebP, lossy")]
    with whole_stack(tmp_path, Spec()) as (_, gateway):
        with Crowd(gateway, CLIENTS) as crowd:
            refused = [post(gateway, hostile) for _ in range(6)]
            with ThreadPoolExecutor(4) as threads:
                answered = list(threads.map(lambda data: post(gateway, data), files * 4))
            outcomes = crowd.stop()
        compare = finish(gateway, tmp_path)
    assert [response.status_code for response in refused] == [422] * 6
    assert "Exif" in refused[0].json()["detail"]
    assert {response.status_code for response in answered} <= {200, 503}
    assert len(compare) == len(outcomes) + len(refused) + len(answered)
    slowest = max(outcome.seconds for outcome in outcomes)
    print("hostile images:", dict(statuses(outcomes)), f"slowest ordinary one {slowest:.2f} s")
    assert set(statuses(outcomes)) == {200}


def test_killed_decoder_costs_its_own_image_only(tmp_path):
    with whole_stack(tmp_path, Spec()) as (service, gateway):
        with Crowd(gateway, CLIENTS) as crowd:
            for _ in range(10):
                until(lambda: bool(decoders(service.pid)), 60)
                decoders(service.pid)[0].kill()
                time.sleep(0.5)
            outcomes = crowd.stop()
        books = compare_books(outcomes, finish(gateway, tmp_path), CLIENTS, 0)
    print("decoders killed:", books, dict(statuses(outcomes)))
    assert set(statuses(outcomes)) <= {200, 503}
    assert statuses(outcomes)[503] <= 10
    assert outcomes[-1].status == 200


def test_memory_of_large_pictures_is_limited_and_freed(tmp_path):
    stream = io.BytesIO()
    Image.new("RGB", (7071, 7071), (9, 99, 199)).save(stream, "WEBP", lossless=True)
    peak = 0

    def watch(pids: list[int], stop: threading.Event) -> None:
        nonlocal peak
        while not stop.wait(0.05):
            peak = max(peak, sum(psutil.Process(pid).memory_info().rss for pid in pids))

    with whole_stack(tmp_path, Spec(), LESIONSERVE_MAX_IN_FLIGHT="64") as (service, gateway):
        until(lambda: post(gateway, IMAGE).status_code == 200, 60)
        (replica,) = processes_of(service, "a replica of LesionService")
        pids = [replica.pid, *(process.pid for process in decoders(replica.pid))]
        before = sum(psutil.Process(pid).memory_info().rss for pid in pids)
        stop = threading.Event()
        watcher = threading.Thread(target=watch, args=(pids, stop))
        watcher.start()
        with ThreadPoolExecutor(28) as threads:
            answers = list(threads.map(lambda data: post(gateway, data), [stream.getvalue()] * 28))
        stop.set()
        watcher.join()
        assert post(gateway, IMAGE).status_code == 200
        after = sum(psutil.Process(pid).memory_info().rss for pid in pids)
    counts = dict.fromkeys((200, 503, 504), 0)
    for answer in answers:
        counts[answer.status_code] += 1
    megabytes = [round(each / 1e6) for each in (before, peak, after)]
    print(f"28 pictures of 50 megapixels: {counts}, MB before, at the peak, after: {megabytes}")
    assert counts[200]
    assert peak - before < 3e9
    assert after - before < 0.7e9
