import base64
import dataclasses
import json
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from pipeline.bundle import packing
from pipeline.bundle.bundle import open_bundle
from pipeline.bundle.manifest import Manifest, read_manifest, sha256_of
from pipeline.bundle.packing import Source, pack
from pipeline.engines.base import EngineName
from pipeline.errors import BundleError, CheckpointMismatch, EngineUnavailable, ModelError
from tests.models import write_model


def write_source(folder: Path) -> Source:
    """Write a small model with one golden image."""
    config, weights = write_model(folder)
    image = folder / "case.png"
    pixels = np.random.default_rng(5).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(image)
    return Source(weights, config, ["LSIL", "HSIL"], name="small", version="1.0", golden=[image])


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return write_source(tmp_path)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle that no test may change: packing takes seconds."""
    folder = tmp_path_factory.mktemp("packed")
    return pack(write_source(folder), folder / "bundle").path


@pytest.fixture
def bundle(packed: Path, tmp_path: Path) -> Path:
    """Return a copy of the packed bundle."""
    return shutil.copytree(packed, tmp_path / "bundle")


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def rewrite(bundle: Path, **changes: object) -> None:
    """Change the manifest and seal it again, as another release would have written it."""
    fields = read_manifest(bundle).model_dump() | changes
    Manifest.model_validate(fields).sealed().write(bundle)


def test_bundle_holds_the_files_of_the_design(bundle: Path) -> None:
    assert sorted(contents(bundle)) == [
        "golden/case.png",
        "golden/expected.json",
        "manifest.json",
        "mask_rcnn_config.yaml",
        "model.pth",
        "openvino/box.bin",
        "openvino/box.xml",
        "openvino/dense.bin",
        "openvino/dense.xml",
        "openvino/mask.bin",
        "openvino/mask.xml",
    ]
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["class_names"] == ["LSIL", "HSIL"]
    assert manifest["dtype"] == "float32"
    assert manifest["torch"] == metadata.version("torch")
    assert manifest["openvino"] == metadata.version("openvino")


def test_same_source_packs_to_same_bytes(source: Source, tmp_path: Path) -> None:
    pack(source, tmp_path / "one")
    pack(source, tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.parametrize("engine", ["portable", "openvino"])
def test_number_of_threads_does_not_change_bytes(
    source: Source, tmp_path: Path, engine: EngineName
) -> None:
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            pack(source, tmp_path / str(count), engine)
    finally:
        torch.set_num_threads(threads)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_manifest_remarks_on_unused_parts_of_source(source: Source, tmp_path: Path) -> None:
    state = torch.load(source.weights, weights_only=True)["model"]
    average = {key: value * 2 for key, value in state.items()}
    spare = {"roi_heads.keypoint_head.weight": torch.ones(1)}
    torch.save({"model": state | spare, "ema_state": average}, source.weights)
    config = yaml.safe_load(source.config.read_text())
    config["TEST"]["AUG"] = {"ENABLED": True}
    source.config.write_text(yaml.safe_dump(config))
    bundle = pack(source, tmp_path / "bundle")
    remarks = bundle.manifest.remarks
    assert [("ema_state" in r, "AUG" in r, "keypoint_head" in r) for r in remarks] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]
    assert bundle.load_engine("portable").remarks == tuple(remarks[1:])


@pytest.mark.parametrize("version", ["2099.1.0", "2099.0"])
def test_rejects_graphs_of_newer_openvino(bundle: Path, version: str) -> None:
    rewrite(bundle, openvino=version)
    with pytest.raises(BundleError, match=f"written by OpenVINO {version}"):
        open_bundle(bundle)


def test_opens_graphs_of_older_openvino(bundle: Path) -> None:
    rewrite(bundle, openvino="2024.6.0")
    assert open_bundle(bundle).manifest.openvino == "2024.6.0"


def test_bundle_without_graphs_is_served_by_torch(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "is_installed", lambda: False)
    opened = pack(source, tmp_path / "plain")
    assert "openvino" not in json.loads((opened.path / "manifest.json").read_text())
    assert opened.load_engine(device="cpu").name == "portable"
    with pytest.raises(EngineUnavailable, match="pack it again"):
        opened.load_engine("openvino")


def test_manifest_omits_empty_remarks(bundle: Path) -> None:
    assert "remarks" not in json.loads((bundle / "manifest.json").read_text())
    rewrite(bundle, remarks=["a"])
    assert open_bundle(bundle).manifest.remarks == ["a"]
    changed = (bundle / "manifest.json").read_text().replace('"a"', '"b"')
    (bundle / "manifest.json").write_text(changed)
    with pytest.raises(BundleError, match="was changed"):
        open_bundle(bundle)


def test_pack_rejects_repeated_class_names(source: Source, tmp_path: Path) -> None:
    twins = dataclasses.replace(source, class_names=["a", "a"])
    with pytest.raises(BundleError, match="both 'a'"):
        pack(twins, tmp_path / "bundle")


def test_pack_drops_optimizer_state(source: Source, tmp_path: Path) -> None:
    state = torch.load(source.weights, weights_only=True)
    fat = tmp_path / "fat.pth"
    torch.save({**state, "optimizer": {"momentum": torch.zeros(1_000_000)}, "iteration": 9}, fat)
    slim = pack(source, tmp_path / "slim").path
    packed = pack(dataclasses.replace(source, weights=fat), tmp_path / "packed").path
    assert (packed / "model.pth").read_bytes() == (slim / "model.pth").read_bytes()


def test_pack_in_float16_passes_golden_cases(source: Source, tmp_path: Path) -> None:
    full = pack(source, tmp_path / "full")
    half = pack(dataclasses.replace(source, half=True), tmp_path / "half")
    sizes = [(packed.path / "model.pth").stat().st_size for packed in (full, half)]
    assert sizes[1] < 0.75 * sizes[0]
    assert half.manifest.dtype == "float16"
    assert half.check_golden(half.load_engine()) == 1


def test_pack_in_float16_keeps_tensor_with_larger_value(source: Source, tmp_path: Path) -> None:
    content = torch.load(source.weights, weights_only=True)
    key = "backbone.bottom_up.stem.conv1.norm.running_var"
    content["model"][key][0] = 1e6
    torch.save(content, source.weights)
    packed = pack(dataclasses.replace(source, half=True), tmp_path / "half").path
    state = torch.load(packed / "model.pth", weights_only=True)
    assert state[key].dtype == torch.float32
    assert state[key][0] == 1e6


def test_packed_configuration_needs_no_base_file(source: Source, tmp_path: Path) -> None:
    short = tmp_path / "short.yaml"
    short.write_text("_BASE_: config.yaml\nOUTPUT_DIR: /home/me\n")
    packed = pack(dataclasses.replace(source, config=short), tmp_path / "bundle")
    written = yaml.safe_load((packed.path / "mask_rcnn_config.yaml").read_text())
    assert written["MODEL"]["ROI_HEADS"]["NUM_CLASSES"] == 2
    assert written["MODEL"]["WEIGHTS"] == "model.pth"
    assert "_BASE_" not in written
    assert "OUTPUT_DIR" not in written


@pytest.mark.parametrize(
    "name",
    [
        "model.pth",
        "mask_rcnn_config.yaml",
        "golden/case.png",
        "golden/expected.json",
        "manifest.json",
    ],
)
@pytest.mark.parametrize("where", [0.0, 0.4, 0.999])
def test_open_rejects_changed_byte_before_loading(
    bundle: Path, name: str, where: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise AssertionError("opened a damaged checkpoint")

    monkeypatch.setattr(torch, "load", fail)
    path = bundle / name
    content = bytearray(path.read_bytes())
    # Change a byte before the last three: white space at the end of the manifest has no meaning.
    position = int(where * (len(content) - 3))
    content[position] ^= 0x01
    path.write_bytes(content)
    with pytest.raises(BundleError, match=name.replace(".", r"\.")):
        open_bundle(bundle).load_engine()


def test_open_names_missing_and_additional_files(bundle: Path) -> None:
    (bundle / "notes.txt").write_text("x")
    with pytest.raises(BundleError, match=r"notes\.txt"):
        open_bundle(bundle)
    (bundle / "notes.txt").unlink()
    (bundle / "golden" / "case.png").unlink()
    with pytest.raises(BundleError, match=r"lacks golden/case\.png"):
        open_bundle(bundle)


def test_open_rejects_folder_without_manifest(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle"):
        open_bundle(tmp_path)


@pytest.mark.parametrize(("key", "version"), [("torch", "1.13.1"), ("python", "2.7.18")])
def test_open_rejects_other_major_version(bundle: Path, key: str, version: str) -> None:
    rewrite(bundle, **{key: version})
    with pytest.raises(BundleError, match=version):
        open_bundle(bundle)


def test_open_accepts_other_minor_version(bundle: Path) -> None:
    rewrite(bundle, torch="2.0.0", python="3.9.1")
    assert open_bundle(bundle).manifest.name == "small"


def test_golden_cases_fail_for_changed_model(bundle: Path) -> None:
    opened = open_bundle(bundle)
    engine = opened.load_engine("portable")
    assert opened.check_golden(engine) == 1
    torch.nn.init.zeros_(engine.model.roi_heads.box_predictor.cls_score.weight)
    with pytest.raises(BundleError, match=r"golden case case\.png"):
        opened.check_golden(engine)


def test_pack_rejects_wrong_number_of_class_names(source: Source, tmp_path: Path) -> None:
    wrong = dataclasses.replace(source, class_names=["a", "b", "c"])
    with pytest.raises(CheckpointMismatch, match="2 classes, but 3 names"):
        pack(wrong, tmp_path / "bundle")


def test_failed_pack_leaves_no_files(source: Source, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ModelError):
        pack(dataclasses.replace(source, weights=tmp_path / "gone.pth"), tmp_path / "bundle")
    assert sorted(tmp_path.rglob("*")) == before


def test_pack_does_not_overwrite_bundle(source: Source, bundle: Path) -> None:
    with pytest.raises(BundleError, match="exists already"):
        pack(source, bundle)


def test_model_info_has_hash_of_weights(bundle: Path) -> None:
    opened = open_bundle(bundle)
    info = opened.info("portable")
    assert (info.name, info.version, info.engine) == ("small", "1.0", "portable")
    assert info.sha256 == opened.manifest.files["model.pth"]
    assert info.bundle_sha256 == opened.manifest.digest == read_manifest(bundle).digest


def test_model_info_differs_for_other_class_names_or_config(source: Source, tmp_path: Path) -> None:
    config = yaml.safe_load(source.config.read_text())
    config["MODEL"]["ROI_HEADS"]["SCORE_THRESH_TEST"] = 0.4
    stricter = tmp_path / "stricter.yaml"
    stricter.write_text(yaml.safe_dump(config))
    sources = [
        source,
        dataclasses.replace(source, class_names=["HSIL", "LSIL"]),
        dataclasses.replace(source, config=stricter),
    ]
    infos = [
        pack(variant, tmp_path / f"bundle-{number}").info("portable")
        for number, variant in enumerate(sources)
    ]
    assert len({info.sha256 for info in infos}) == 1
    assert len({info.bundle_sha256 for info in infos}) == 3


def test_answer_has_precision_of_engine(bundle: Path) -> None:
    opened = open_bundle(bundle)
    engine = opened.load_engine("portable", precision="bfloat16")
    assert opened.predictor(engine).info.precision == "bfloat16"


def test_reading_class_names_and_resize_does_not_import_torch(bundle: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pipeline.bundle.bundle import open_bundle; "
        "bundle = open_bundle(Path(sys.argv[1])); bundle.class_names; bundle.resize; "
        "sys.exit('torch' in sys.modules)"
    )
    process = subprocess.run([sys.executable, "-c", code, str(bundle)], check=False)
    assert process.returncode == 0


def test_manifest_dtype_is_that_of_weights(source: Source, tmp_path: Path) -> None:
    content = torch.load(source.weights, weights_only=True)
    halves = {key: value.half() for key, value in content["model"].items()}
    torch.save(halves, source.weights)
    assert pack(source, tmp_path / "bundle").manifest.dtype == "float16"


def test_pack_names_golden_file_that_is_not_an_image(source: Source, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("no image")
    for golden in (notes, tmp_path / "gone.png"):
        with pytest.raises(BundleError, match=f"golden image {golden.name}"):
            pack(dataclasses.replace(source, golden=[golden]), tmp_path / "bundle")


def test_pack_rejects_golden_image_named_like_expectations(source: Source, tmp_path: Path) -> None:
    image = source.golden[0].rename(tmp_path / "expected.json")
    with pytest.raises(BundleError, match=r"expected\.json"):
        pack(dataclasses.replace(source, golden=[image]), tmp_path / "bundle")


def test_pack_reports_target_that_cannot_be_created(source: Source, tmp_path: Path) -> None:
    for target in (tmp_path / "no" / "folder", source.weights / "bundle"):
        with pytest.raises(BundleError, match="cannot write"):
            pack(source, target)
    assert not (tmp_path / "no").exists()


def test_score_threshold_of_dense_detector_is_its_own(bundle: Path) -> None:
    path = bundle / "mask_rcnn_config.yaml"
    path.write_text("MODEL: {META_ARCHITECTURE: RetinaNet, RETINANET: {SCORE_THRESH_TEST: 0.4}}\n")
    files = read_manifest(bundle).files | {path.name: sha256_of(path)}
    rewrite(bundle, files=files)
    assert open_bundle(bundle).score_threshold == 0.4


def test_golden_check_runs_after_bundle_is_gone(bundle: Path, tmp_path: Path) -> None:
    opened = open_bundle(bundle)
    check = opened.golden_check(opened.load_engine())
    bundle.rename(tmp_path / "elsewhere")
    assert [case.name for case in check.cases] == ["case.png"]
    assert check.run_all().max_box_pixels < 0.05


def test_golden_report_holds_cases_and_model(bundle: Path) -> None:
    opened = open_bundle(bundle)
    report = opened.golden_check(opened.load_engine()).report(max_bytes=10_000_000)
    image = (bundle / "golden" / "case.png").read_bytes()
    written = json.loads(report.model_dump_json())
    assert written["bundle_sha256"] == opened.manifest.digest
    assert written["score_threshold"] == opened.score_threshold
    assert [case["name"] for case in written["cases"]] == ["case.png"]
    assert base64.b64decode(written["cases"][0]["image"], validate=True) == image
    ((_, expected),) = opened.golden()
    assert report.cases[0].expected == expected


def test_golden_report_leaves_out_cases_that_do_not_fit(bundle: Path) -> None:
    opened = open_bundle(bundle)
    check = opened.golden_check(opened.load_engine())
    size = len(check.cases[0].image)
    small = dataclasses.replace(check.cases[0], name="small.png", image=b"x")
    check.cases = (*check.cases, *check.cases, small)
    names = [case.name for case in check.report(max_bytes=size + 1).cases]
    assert names == ["case.png", "small.png"]
    assert [case.name for case in check.report(max_bytes=size - 1).cases] == ["small.png"]
