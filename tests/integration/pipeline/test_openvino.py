"""Test that the OpenVINO engine returns the results of the portable engine."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.engines import select
from pipeline.engines.openvino.convert import convert
from pipeline.engines.openvino.engine import OpenVinoEngine
from pipeline.engines.openvino.graphs import read_graphs, write_graphs
from pipeline.engines.portable.engine import PortableEngine, open_model
from pipeline.engines.select import ModelFiles, open_engine
from pipeline.errors import EngineUnavailable
from pipeline.image.resize import ModelInput
from pipeline.instances import Instances
from tests.models import open_compiled, write_graphs_of, write_model


def picture(height: int, width: int, seed: int = 0) -> ModelInput:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return ModelInput(pixels, height, width)


def open_both(folder: Path, **changes: object) -> tuple[PortableEngine, OpenVinoEngine]:
    files = write_model(folder, **changes)
    return PortableEngine.open(*files), open_compiled(*files)


def assert_same(left: Instances, right: Instances) -> None:
    np.testing.assert_array_equal(left.classes, right.classes)
    np.testing.assert_allclose(left.boxes, right.boxes, atol=1e-2)
    np.testing.assert_allclose(left.scores, right.scores, atol=1e-4)
    assert left.embedding is not None
    assert right.embedding is not None
    assert left.embedding.dtype == right.embedding.dtype == np.float32
    np.testing.assert_allclose(left.embedding, right.embedding, rtol=1e-3, atol=1e-4)
    assert (left.masks is None) == (right.masks is None)
    if left.masks is not None:
        np.testing.assert_allclose(left.masks, right.masks, atol=1e-3)


KINDS: dict[str, dict[str, object]] = {
    "masks": {},
    "boxes alone": {"MODEL.MASK_ON": False},
    "group norm": {
        "MODEL.RESNETS.NORM": "GN",
        "MODEL.RESNETS.STEM_OUT_CHANNELS": 32,
        "MODEL.RESNETS.RES2_OUT_CHANNELS": 32,
        "MODEL.RESNETS.WIDTH_PER_GROUP": 32,
    },
    "a convolution in the box head": {
        "MODEL.ROI_BOX_HEAD.NUM_CONV": 1,
        "MODEL.ROI_BOX_HEAD.CONV_DIM": 16,
    },
    "no layer behind it": {"MODEL.ROI_BOX_HEAD.NUM_CONV": 1, "MODEL.ROI_BOX_HEAD.NUM_FC": 0},
    "heads on finer levels": {"MODEL.ROI_HEADS.IN_FEATURES": ["p2", "p3"]},
    "agnostic": {
        "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG": True,
        "MODEL.ROI_MASK_HEAD.CLS_AGNOSTIC_MASK": True,
        "MODEL.ROI_HEADS.SCORE_THRESH_TEST": 0.0,
    },
}


@pytest.mark.parametrize("changes", KINDS.values(), ids=KINDS)
def test_matches_portable_engine_for_each_model(tmp_path: Path, changes: dict[str, object]) -> None:
    portable, compiled = open_both(tmp_path, **changes)
    inputs = [picture(64, 96, 1), picture(128, 64, 2), picture(50, 90, 3), picture(64, 96, 4)]
    expected = portable.predict(inputs)
    assert sum(map(len, expected)) > 0
    for left, right in zip(expected, compiled.predict(inputs), strict=True):
        assert_same(left, right)


def test_returns_no_instances_for_image_without_any(tmp_path: Path) -> None:
    _, compiled = open_both(tmp_path, **{"MODEL.ROI_HEADS.SCORE_THRESH_TEST": 1.0})
    (instances,) = compiled.predict([picture(64, 64)])
    assert instances.boxes.shape == (0, 4)
    assert instances.masks is not None
    assert instances.masks.shape == (0, 28, 28)


def test_next_call_does_not_change_result(tmp_path: Path) -> None:
    _, compiled = open_both(tmp_path)
    (first,) = compiled.predict([picture(64, 64, 1)])
    copies = first.boxes.copy(), first.masks.copy(), first.embedding.copy()
    compiled.predict([picture(64, 64, 2)])
    np.testing.assert_array_equal(first.boxes, copies[0])
    np.testing.assert_array_equal(first.masks, copies[1])
    np.testing.assert_array_equal(first.embedding, copies[2])


@torch.inference_mode()
def test_bfloat16_is_close_to_float32_but_not_equal(tmp_path: Path) -> None:
    files = write_model(tmp_path)
    exact = PortableEngine.open(*files)
    other = PortableEngine.open(*files, "cpu", "bfloat16")
    image = torch.from_numpy(picture(64, 96).pixels)
    expected, found = (
        engine.model.networks.dense(engine.model.batch([image]))[0]["p2"].float()
        for engine in (exact, other)
    )
    assert 0 < float((found - expected).norm() / expected.norm()) < 0.05
    compiled = open_compiled(*files, "bfloat16")
    cells, _ = compiled._features(picture(64, 96).pixels)
    expected_map = expected[0].permute(1, 2, 0).flatten(0, 1).numpy()
    # On a processor without bfloat16, OpenVINO computes in float32.
    assert (
        np.linalg.norm(cells[: len(expected_map)] - expected_map) / np.linalg.norm(expected_map)
        < 0.05
    )
    assert other.precision == compiled.precision == "bfloat16"


def test_threads_get_results_of_their_own_images(tmp_path: Path) -> None:
    _, compiled = open_both(tmp_path)
    inputs = [picture(64, 96, seed) for seed in range(8)]
    expected = [compiled.predict([model_input])[0] for model_input in inputs]
    with ThreadPoolExecutor(compiled.max_threads) as pool:
        found = list(pool.map(lambda model_input: compiled.predict([model_input])[0], inputs * 5))
    for instances, single in zip(found, expected * 5, strict=True):
        assert_same(instances, single)


def test_conversion_sends_no_telemetry(tmp_path: Path) -> None:
    """Run in a new process, since the first import of OpenVINO decides about its telemetry."""
    config, weights = write_model(tmp_path)
    check = f"""
import sys
from pathlib import Path
from tests.models import open_compiled
open_compiled(Path({str(config)!r}), Path({str(weights)!r}))
from openvino.tools.ovc import telemetry_utils
assert telemetry_utils.tm.__name__ == "openvino.tools.ovc.telemetry_stub"
assert sys.modules["openvino_telemetry"] is None
"""
    subprocess.run([sys.executable, "-c", check], check=True)


def test_engine_imports_no_torch(tmp_path: Path) -> None:
    config, weights = write_model(tmp_path)
    graphs = write_graphs_of(config, weights)
    check = f"""
import sys
from pathlib import Path
from pipeline.engines.select import ModelFiles, open_engine
files = ModelFiles(Path({str(config)!r}), Path("nowhere.pth"), Path({str(graphs)!r}))
assert open_engine(files).name == "openvino"
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", check], check=True)


def test_auto_selects_openvino_on_cpu_where_there_are_graphs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, weights = write_model(tmp_path)
    without = ModelFiles(config, weights)
    files = ModelFiles(config, weights, write_graphs_of(config, weights))
    assert open_engine(files, "auto", "cpu").name == "openvino"
    assert open_engine(files, "openvino").name == "openvino"
    assert open_engine(without, "auto", "cpu").name == "portable"
    with pytest.raises(EngineUnavailable, match="pack it again"):
        open_engine(without, "openvino", "cpu")
    monkeypatch.setattr(select, "is_installed", lambda: False)
    assert open_engine(files, "auto", "cpu").name == "portable"


def test_rejects_precision_that_engine_cannot_run(tmp_path: Path) -> None:
    files = ModelFiles(*write_model(tmp_path))
    for engine in ("auto", "openvino"):
        with pytest.raises(EngineUnavailable, match="pack --int8"):
            open_engine(files, engine, "cpu", "int8")
    with pytest.raises(EngineUnavailable, match="through OpenVINO"):
        open_engine(files, "portable", "cpu", "int8")
    with pytest.raises(EngineUnavailable, match="not in bfloat16"):
        open_engine(files, "detectron2", "cpu", "bfloat16")
    with pytest.raises(EngineUnavailable, match="on a CPU"):
        open_engine(files, "openvino", "cuda")


def test_rejects_damaged_graphs(tmp_path: Path) -> None:
    config, weights = write_model(tmp_path)
    graphs = write_graphs_of(config, weights)
    (graphs / "box.xml").write_text("<net")
    with pytest.raises(EngineUnavailable, match="pack the bundle again"):
        read_graphs(graphs)


def test_rejects_graphs_that_take_other_input(tmp_path: Path) -> None:
    """Before, the input of the first graph was a normalized batch."""
    config, weights = write_model(tmp_path)
    model = open_model(config, weights)
    write_graphs(convert(model), tmp_path / "old")
    with pytest.raises(EngineUnavailable, match="older version of lesionserve"):
        read_graphs(tmp_path / "old")
