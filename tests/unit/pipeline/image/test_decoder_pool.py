import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from pipeline.errors import BrokenImage, ImageTooLarge, Overloaded, UnsupportedImage
from pipeline.image.decode import decode
from pipeline.image.decoder_pool import DecoderPool
from pipeline.image.limits import DEFAULT_LIMITS, ImageLimits
from tests.images import BROKEN, ORDINARY, encoded, jpeg, noise, picture


@pytest.fixture(scope="module")
def pool():
    pool = DecoderPool(2, DEFAULT_LIMITS)
    yield pool
    pool.close()


@pytest.fixture
def single():
    pool = DecoderPool(1, DEFAULT_LIMITS)
    yield pool
    pool.close()


def processes_of(pool: DecoderPool) -> list[psutil.Process]:
    """Return the processes of an idle pool."""
    decoders = [pool._idle.get() for _ in range(pool._idle.qsize())]
    for decoder in decoders:
        pool._idle.put(decoder)
    return [psutil.Process(decoder._process.pid) for decoder in decoders]


def process_of(pool: DecoderPool) -> psutil.Process:
    """Return the only process of an idle pool."""
    (process,) = processes_of(pool)
    return process


@pytest.mark.parametrize("data", ORDINARY.values(), ids=ORDINARY)
def test_pool_returns_same_pixels_as_decode(pool, data):
    decoded, expected = pool.decode(data), decode(data)
    assert decoded.info == expected.info
    assert np.array_equal(decoded.pixels, expected.pixels)
    assert decoded.pixels.flags.writeable


@pytest.mark.parametrize("name", ["nothing", "half a PNG", "multi-page TIFF"])
def test_pool_raises_same_message_as_decode(pool, name):
    data, reason = BROKEN[name]
    with pytest.raises(BrokenImage, match=reason):
        pool.decode(data)


def test_pool_raises_class_of_error(pool):
    with pytest.raises(UnsupportedImage):
        pool.decode(b"GIF89a" + bytes(40))
    with pytest.raises(ImageTooLarge):
        pool.decode(bytes(DEFAULT_LIMITS.max_bytes + 1))


def test_threads_share_decoders(pool):
    images = list(ORDINARY.values()) * 3
    with ThreadPoolExecutor(8) as threads:
        decoded = list(threads.map(pool.decode, images))
    for data, result in zip(images, decoded, strict=True):
        assert np.array_equal(result.pixels, decode(data).pixels)


def test_next_picture_does_not_change_earlier_one(single):
    first = single.decode(encoded(picture(), "PNG"))
    single.decode(encoded(255 - picture(), "PNG"))
    assert np.array_equal(first.pixels[:, :, ::-1], picture())


def test_decodes_large_pictures_completely(single):
    large = np.asarray(Image.fromarray(noise()).resize((3000, 2000)))
    data = encoded(large, "BMP")
    for _ in range(2):
        assert np.array_equal(single.decode(data).pixels[:, :, ::-1], large)


@pytest.mark.parametrize(
    ("number", "error"),
    [(signal.SIGKILL, Overloaded), (signal.SIGSEGV, BrokenImage), (signal.SIGXCPU, BrokenImage)],
)
def test_image_that_ends_its_decoder_fails_alone(single, number, error):
    decoder = single._idle.get()
    single._idle.put(decoder)
    process = process_of(single)
    process.suspend()
    with ThreadPoolExecutor(1) as threads:
        decoding = threads.submit(single.decode, jpeg())
        # A signal before the request would end an idle decoder, which the pool replaces.
        while not (decoder._owes_answer or decoding.done()):
            time.sleep(0.001)
        process.send_signal(number)
        with suppress(psutil.NoSuchProcess):  # SIGKILL does not wait for it to go on
            process.resume()
        with pytest.raises(error):
            decoding.result()
    assert single.decode(jpeg()).info.format == "JPEG"
    assert process_of(single).pid != process.pid


def test_replaces_decoder_that_ended_while_idle(single):
    process = process_of(single)
    process.kill()
    while process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert single.decode(jpeg()).info.format == "JPEG"


def test_rejects_image_that_takes_too_much_cpu_time():
    large = Image.effect_mandelbrot((4000, 4000), (-2, -2, 2, 2), 3).convert("RGB")
    data = encoded(large, "JPEG", progressive=True)
    pool = DecoderPool(1, DEFAULT_LIMITS, cpu_seconds=0)

    def decode_often() -> None:
        # Small images soon use up the rest of the second of processor time that the start left.
        for _ in range(100):
            pool.decode(data)

    with pytest.raises(BrokenImage, match="more than 0 s of processor time"):
        decode_often()
    assert pool.decode(jpeg()).info.format == "JPEG"
    pool.close()


def test_rejects_image_that_takes_too_much_memory(single):
    process = process_of(single)
    size = process.memory_info().rss + 64 * 1024 * 1024
    process.rlimit(psutil.RLIMIT_DATA, (size, size))
    with pytest.raises(BrokenImage, match="more memory than any real image"):
        single.decode(encoded(np.zeros((6000, 6000, 3), np.uint8), "PNG"))


def test_ends_decoder_that_does_not_answer():
    pool = DecoderPool(1, DEFAULT_LIMITS)
    decoder = pool._idle.get()
    pool._idle.put(decoder)
    decoder._channel.settimeout(1.0)  # it has started, which may take longer
    stopped = process_of(pool)
    stopped.suspend()
    with pytest.raises(Overloaded, match="could not be decoded in time"):
        pool.decode(jpeg())
    assert not stopped.is_running()
    assert pool.decode(jpeg()).info.format == "JPEG"
    pool.close()


def test_interrupted_call_leaves_no_answer_for_next_call(single, monkeypatch):
    decoder = single._idle.get()
    single._idle.put(decoder)

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(decoder, "_receive", interrupt)
    with pytest.raises(KeyboardInterrupt):
        single.decode(encoded(255 - picture(), "PNG"))
    assert np.array_equal(single.decode(encoded(picture(), "PNG")).pixels[:, :, ::-1], picture())


def test_decoders_do_not_inherit_secrets(monkeypatch):
    monkeypatch.setenv("LESIONSERVE_SERVICE_TOKENS", "secret" * 10)
    pool = DecoderPool(1, DEFAULT_LIMITS)
    environment = Path(f"/proc/{process_of(pool).pid}/environ").read_bytes()
    assert b"secret" not in environment
    pool.close()


def test_decoders_end_when_pool_is_closed():
    pool = DecoderPool(2, ImageLimits(max_pixels=1_000_000))
    processes = processes_of(pool)
    assert len(processes) == 2
    assert all(process.is_running() for process in processes)
    pool.close()
    assert not any(process.is_running() for process in processes)


def test_decoders_end_with_their_parent():
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            pool = DecoderPool(1, DEFAULT_LIMITS)
            os.write(writing, str(process_of(pool).pid).encode())
        finally:
            os._exit(0)
    os.close(writing)
    decoder = int(os.read(reading, 20))
    os.waitpid(child, 0)
    orphan = psutil.Process(decoder) if psutil.pid_exists(decoder) else None
    if orphan is not None:
        orphan.wait(30)
    assert not psutil.pid_exists(decoder)
    os.close(reading)


def test_costly_image_does_not_delay_others(pool):
    finished: list[str] = []
    large = encoded(np.zeros((6000, 6000, 3), np.uint8), "JPEG", progressive=True)

    def decode_large() -> None:
        pool.decode(large)
        finished.append("large")

    thread = threading.Thread(target=decode_large)
    thread.start()
    time.sleep(0.05)
    pool.decode(jpeg())
    finished.append("small")
    thread.join()
    assert finished == ["small", "large"]
