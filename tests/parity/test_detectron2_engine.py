import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from pipeline.engines.detectron2 import Detectron2Engine
from pipeline.engines.files.checkpoint import load_strictly, read_checkpoint
from pipeline.engines.portable.build import build_model
from pipeline.engines.portable.config import parse_config
from pipeline.engines.portable.engine import PortableEngine
from pipeline.errors import (
    CheckpointMismatch,
    EngineUnavailable,
    UnreadableConfig,
    UnsupportedConfig,
)
from tests.models import tree, weights, write_model
from tests.parity.case import CASES, Case, assert_expected, assert_same_embedding

needs_detectron2 = pytest.mark.skipif(
    importlib.util.find_spec("detectron2") is None,
    reason="Detectron2 is not installed; see tests/parity/README.md",
)

GN = {"MODEL.RESNETS.NORM": "GN", "MODEL.RESNETS.STEM_OUT_CHANNELS": 32} | {
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 32,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 32,
    "MODEL.FPN.OUT_CHANNELS": 32,
}
ONE_MAP = GN | {
    "MODEL.BACKBONE.NAME": "build_resnet_backbone",
    "MODEL.ANCHOR_GENERATOR.SIZES": [[16, 32, 64]],
    "MODEL.ROI_MASK_HEAD.CONV_DIM": 32,
}
# Models that the portable engine refuses, and Detectron2 runs.
OTHERS: dict[str, dict[str, Any]] = {
    "cascade": GN
    | {
        "MODEL.ROI_HEADS.NAME": "CascadeROIHeads",
        "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG": True,
    },
    "deformable": GN | {"MODEL.RESNETS.DEFORM_ON_PER_STAGE": [False, True, True, True]},
    "c4": ONE_MAP
    | {
        "MODEL.RESNETS.OUT_FEATURES": ["res4"],
        "MODEL.RPN.IN_FEATURES": ["res4"],
        "MODEL.ROI_HEADS.NAME": "Res5ROIHeads",
        "MODEL.ROI_HEADS.IN_FEATURES": ["res4"],
    },
    "dilated_c5": ONE_MAP
    | {
        "MODEL.RESNETS.OUT_FEATURES": ["res5"],
        "MODEL.RESNETS.RES5_DILATION": 2,
        "MODEL.RPN.IN_FEATURES": ["res5"],
        "MODEL.ROI_HEADS.IN_FEATURES": ["res5"],
    },
    "retinanet": GN
    | {
        "MODEL.META_ARCHITECTURE": "RetinaNet",
        "MODEL.MASK_ON": False,
        "MODEL.BACKBONE.NAME": "build_retinanet_resnet_fpn_backbone",
        "MODEL.RESNETS.OUT_FEATURES": ["res3", "res4", "res5"],
        "MODEL.FPN.IN_FEATURES": ["res3", "res4", "res5"],
        "MODEL.RETINANET": {"NUM_CLASSES": 2, "NUM_CONVS": 1, "SCORE_THRESH_TEST": 0.3},
    },
}


@needs_detectron2
@pytest.mark.parametrize("case", CASES, ids=[case.folder.name for case in CASES])
def test_batch_gives_recorded_results_of_single_images(case: Case, tmp_path: Path) -> None:
    engine = Detectron2Engine.open(case.config, case.weights(tmp_path), "cpu")
    inputs = case.inputs()
    batch = engine.predict([model_input for _, model_input in inputs.values()])
    for (name, (source, model_input)), instances in zip(inputs.items(), batch, strict=True):
        assert_expected(case.expected[name], source, model_input, instances)


@needs_detectron2
@pytest.mark.parametrize("case", CASES, ids=[case.folder.name for case in CASES])
def test_embedding_is_that_of_the_portable_engine(case: Case, tmp_path: Path) -> None:
    files = case.config, case.weights(tmp_path)
    inputs = [model_input for _, model_input in case.inputs().values()]
    expected = PortableEngine.open(*files).predict(inputs)
    for pair in zip(Detectron2Engine.open(*files, "cpu").predict(inputs), expected, strict=True):
        assert_same_embedding(*pair)


@needs_detectron2
@pytest.mark.parametrize("changes", OTHERS.values(), ids=OTHERS)
def test_other_models_match_default_predictor(changes: dict[str, Any], tmp_path: Path) -> None:
    from detectron2.engine import DefaultPredictor

    from tests.parity.record import to_json

    case, cfg = write_other(tmp_path, changes)
    with pytest.raises(UnsupportedConfig):
        PortableEngine.open(case.config, tmp_path / "model.pth", "cpu")
    predictor = DefaultPredictor(cfg)
    engine = Detectron2Engine.open(case.config, tmp_path / "model.pth", "cpu")
    has_pyramid = "fpn" in changes.get("MODEL.BACKBONE.NAME", "build_resnet_fpn_backbone")
    count = 0
    for source, model_input in case.inputs().values():
        expected = to_json(predictor(source.pixels)["instances"])
        (instances,) = engine.predict([model_input])
        assert_expected(expected, source, model_input, instances)
        assert (instances.embedding is not None) == has_pyramid
        count += len(instances)
    assert count > 0


def write_other(folder: Path, changes: dict[str, Any]) -> tuple[Case, Any]:
    """Write a model with random weights that detect something; return it with its CfgNode."""
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    (folder / "config.yaml").write_text(yaml.safe_dump(tree(**changes)))
    cfg = get_cfg()
    cfg.merge_from_file(str(folder / "config.yaml"))
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.WEIGHTS = str(folder / "model.pth")
    torch.manual_seed(0)
    model = build_model(cfg)
    spreads = {"cls_score": 3.0, "objectness_logits": 3.0, "predictor": 3.0, "bbox_pred": 0.5}
    spreads |= {"anchor_deltas": 0.2, "conv2_offset": 1.0}
    for name, layer in model.named_modules():
        # A cascade numbers its predictors, but the last part is always the name of the layer.
        if (spread := spreads.get(name.split(".")[-1])) and hasattr(layer, "weight"):
            torch.nn.init.normal_(layer.weight, std=spread / layer.weight[0].numel() ** 0.5)
            torch.nn.init.zeros_(layer.bias)
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    return Case(folder), cfg


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MODEL.META_ARCHITECTURE", "PanopticFPN"),
        ("MODEL.KEYPOINT_ON", True),
        ("MODEL.ROI_HEADS.NAME", "RROIHeads"),
        ("MODEL.PROPOSAL_GENERATOR.NAME", "RRPN"),
        ("MODEL.ANCHOR_GENERATOR.NAME", "RotatedAnchorGenerator"),
        ("MODEL.ROI_MASK_HEAD.POINT_HEAD_ON", True),
        ("MODEL.MASK_ON", "perhaps"),
    ],
)
def test_error_names_key_that_no_engine_supports(tmp_path: Path, key: str, value: object) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tree(**{key: value})))
    # The check comes before the import of Detectron2, so that nobody installs it in vain.
    with pytest.raises(UnsupportedConfig, match=key):
        Detectron2Engine.open(tmp_path / "config.yaml", tmp_path / "model.pth", "cpu")


@needs_detectron2
def test_reports_why_detectron2_cannot_build_model(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tree(**{"MODEL.RESNETS.DEPTH": 18})))
    with pytest.raises(UnsupportedConfig, match="RES2_OUT_CHANNELS = 64"):
        Detectron2Engine.open(tmp_path / "config.yaml", tmp_path / "model.pth", "cpu")


@needs_detectron2
def test_rejects_gpu_only_model_on_cpu(tmp_path: Path) -> None:
    changes = OTHERS["deformable"] | {"MODEL.RESNETS.DEFORM_MODULATED": True}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tree(**changes)))
    with pytest.raises(UnsupportedConfig, match="DEFORM_MODULATED"):
        Detectron2Engine.open(tmp_path / "config.yaml", tmp_path / "model.pth", "cpu")


def test_rejects_yaml_with_python_code(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("VERSION: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(UnreadableConfig, match="VERSION is Python code"):
        Detectron2Engine.open(tmp_path / "config.yaml", tmp_path / "model.pth", "cpu")


@needs_detectron2
def test_rejects_checkpoint_of_another_model(tmp_path: Path) -> None:
    config, checkpoint = write_model(tmp_path)
    torch.save(weights(tree(**{"MODEL.ROI_HEADS.NUM_CLASSES": 5})), checkpoint)
    with pytest.raises(CheckpointMismatch, match="cls_score"):
        Detectron2Engine.open(config, checkpoint, "cpu")


@needs_detectron2
def test_open_remarks_on_trainer_key_that_it_ignores(tmp_path: Path) -> None:
    changes = OTHERS["cascade"] | {"SOLVER.OPTIMIZER": "AdamW", "SEMISUPNET.ON": True}
    case, _ = write_other(tmp_path, OTHERS["cascade"])
    case.config.write_text(yaml.safe_dump(tree(**changes)))
    engine = Detectron2Engine.open(case.config, tmp_path / "model.pth", "cpu")
    assert "SEMISUPNET" in engine.remarks[0]


@needs_detectron2
@pytest.mark.parametrize("lacks", ["running_", "nothing"])
def test_loads_nearly_complete_checkpoint_as_detectron2(lacks: str, tmp_path: Path) -> None:
    """Load frozen norms without statistics, and a weight too many."""
    from detectron2.engine import DefaultPredictor

    case, cfg = write_other(tmp_path, {})
    path = tmp_path / "model.pth"
    state = {k: v for k, v in torch.load(path)["model"].items() if lacks not in k}
    torch.save({"model": state | {"roi_heads.keypoint_head.w": torch.ones(1)}}, path)
    theirs = DefaultPredictor(cfg).model.state_dict()
    portable = build_model(parse_config(tree()))
    assert load_strictly(portable, read_checkpoint(path))
    engine = Detectron2Engine.open(case.config, path, "cpu")
    assert engine.remarks
    for ours in (portable.state_dict(), engine.model.state_dict()):
        assert ours.keys() <= theirs.keys()
        assert all(torch.equal(value, theirs[key]) for key, value in ours.items())


def test_error_without_detectron2_names_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "detectron2.config", None)
    config, checkpoint = write_model(tmp_path)
    with pytest.raises(EngineUnavailable, match="facebookresearch/detectron2"):
        Detectron2Engine.open(config, checkpoint, "cpu")
