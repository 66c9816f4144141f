from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.integration.cli.command_process import serving_fake_gateway
from tests.models import write_model


@pytest.fixture
def model(tmp_path: Path) -> list[str]:
    config, weights = write_model(tmp_path)
    return ["--config", str(config), "--weights", str(weights), "--classes", "LSIL,HSIL"]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "case.png"
    pixels = np.random.default_rng(3).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Yield the address of a gateway that finds the same lesion on every image."""
    with serving_fake_gateway() as url:
        yield url
