from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import worker
from cluster.paths import DEMO_BUNDLE, DEMO_IMAGE
from pipeline.bundle.bundle import Bundle, open_bundle
from pipeline.engines.base import Engine
from pipeline.image.decode import decode


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return open_bundle(DEMO_BUNDLE)


@pytest.fixture(scope="module")
def engine(bundle: Bundle) -> Engine:
    return bundle.load_engine("portable", "cpu")


@pytest.fixture(scope="module")
def image() -> NDArray[np.uint8]:
    return decode(DEMO_IMAGE.read_bytes()).pixels


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of masks of each image that is finished."""
    finished: list[int] = []
    finish = worker.finish
    monkeypatch.setattr(worker, "finish", lambda *args: finished.append(finish(*args)))
    return finished


def test_batches_give_masks_of_single_images(
    bundle: Bundle, engine: Engine, image: NDArray[np.uint8], counts: list[int]
) -> None:
    worker.run(bundle, engine, image)
    assert counts[0] > 0
    with ThreadPoolExecutor(2) as pool:
        worker.run_batches(bundle, engine, [image] * 3, 2, pool)
    assert counts == [counts[0]] * 4
