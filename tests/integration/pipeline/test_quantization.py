"""Test that `pack --int8` adds quantized layers, whose results are close to the exact ones."""

from pathlib import Path

import pytest

from pipeline.bundle.bundle import Bundle, open_bundle
from pipeline.bundle.packing import Source, pack
from pipeline.errors import BundleError
from tests.fakes import png
from tests.models import write_model


def source(folder: Path, *golden: Path) -> Source:
    config, weights = write_model(folder)
    return Source(weights, config, ("LSIL", "HSIL"), "small", "1", golden=golden, int8=True)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("pack")
    image = folder / "a.png"
    image.write_bytes(png(width=80, height=64))
    return pack(source(folder, image), folder / "bundle")


def test_int8_bundle_passes_its_golden_cases(
    bundle: Bundle,
) -> None:
    assert {"int8/dense.xml", "int8/dense.bin", "int8/box.bin"} <= set(bundle.manifest.files)
    engine = bundle.load_engine(device="cpu", precision="int8")
    assert (engine.name, engine.precision) == ("openvino", "int8")
    assert bundle.check_golden(engine) == 1


def test_packing_int8_twice_gives_same_bytes(bundle: Bundle, tmp_path: Path) -> None:
    again = pack(source(tmp_path, bundle.path / "golden" / "a.png"), tmp_path / "again")
    assert again.manifest.files == bundle.manifest.files


def test_rejects_damaged_int8_layer(bundle: Bundle, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    for name in (*bundle.manifest.files, "manifest.json"):
        (damaged / name).parent.mkdir(parents=True, exist_ok=True)
        (damaged / name).write_bytes((bundle.path / name).read_bytes())
    content = bytearray((damaged / "int8/dense.bin").read_bytes())
    content[100] ^= 1
    (damaged / "int8/dense.bin").write_bytes(content)
    with pytest.raises(BundleError, match=r"int8/dense\.bin is damaged"):
        open_bundle(damaged)


def test_rejects_int8_without_golden_images(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="calibrated on the golden images"):
        pack(source(tmp_path), tmp_path / "bundle")
