"""Small model bundles to deploy: good ones, and some that may not replace them."""

import json
import shutil
from pathlib import Path

from pipeline.bundle import packing
from pipeline.bundle.manifest import MANIFEST_FILE, read_manifest, sha256_of
from tests.integration.gateway.client import jpeg
from tests.models import write_model

IMAGE = jpeg(160, 120)


def pack_bundle(folder: Path, version: str, *class_names: str) -> Path:
    """A bundle of a tiny network with random weights, and one golden case."""
    source = folder / f"source-{version}"
    source.mkdir(parents=True)
    config, weights = write_model(source)
    golden = source / "golden.jpg"
    golden.write_bytes(IMAGE)
    packing.pack(
        packing.Source(
            weights=weights,
            config=config,
            class_names=class_names or ("LSIL", "HSIL"),
            name="small",
            version=version,
            golden=(golden,),
        ),
        folder / version,
    )
    return folder / version


def pack_bundles(folder: Path) -> dict[str, Path]:
    """Two versions of one model, and three bundles that may not replace them."""
    bundles = {version: pack_bundle(folder, version) for version in ("1", "2")}
    bundles["other classes"] = pack_bundle(folder, "3", "HSIL", "LSIL")
    bundles["damaged"] = Path(shutil.copytree(bundles["2"], folder / "damaged"))
    flip_last_byte(bundles["damaged"] / "model.pth")
    bundles["other finding"] = with_changed_golden_case(
        Path(shutil.copytree(bundles["2"], folder / "other-finding"))
    )
    return bundles


def with_changed_golden_case(bundle: Path) -> Path:
    """Make the bundle, intact as it is, expect no lesion where it finds some."""
    path = bundle / "golden/expected.json"
    cases = json.loads(path.read_text())
    assert any(cases.values()), "nothing is expected that could be missed"
    path.write_text(json.dumps({name: [] for name in cases}))
    manifest = read_manifest(bundle)
    files = manifest.files | {"golden/expected.json": sha256_of(path)}
    (bundle / MANIFEST_FILE).unlink()
    manifest.model_copy(update={"files": files}).sealed().write(bundle)
    return bundle


def flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
