from pathlib import Path

import pytest
import yaml

from pipeline.engines.files.config_file import load_config_file
from pipeline.engines.portable.build import build_model
from pipeline.engines.portable.config import (
    parse_config,
    read_config,
    remarks_on,
    require_detectron2_runs,
)
from pipeline.errors import UnreadableConfig, UnsupportedConfig
from tests.models import SMALL, tree


def test_short_yaml_gets_defaults_of_detectron2() -> None:
    config = parse_config(tree())
    assert config.MODEL.RPN.NMS_THRESH == 0.7
    assert config.MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS == (10.0, 10.0, 5.0, 5.0)
    assert config.MODEL.RESNETS.NORM == "FrozenBN"


def test_rejects_empty_yaml() -> None:
    with pytest.raises(UnsupportedConfig, match=r"MODEL.BACKBONE.NAME = 'build_resnet_backbone'"):
        parse_config({})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MODEL.META_ARCHITECTURE", "PanopticFPN"),
        ("MODEL.BACKBONE.NAME", "build_swin_backbone"),
        ("MODEL.KEYPOINT_ON", True),
        ("MODEL.LOAD_PROPOSALS", True),
        ("MODEL.ROI_HEADS.NAME", "RROIHeads"),
        ("MODEL.ROI_BOX_HEAD.NAME", ""),
        ("MODEL.ROI_MASK_HEAD.NAME", "PointRendMaskHead"),
        ("MODEL.ROI_BOX_HEAD.POOLER_TYPE", "ROIAlignRotated"),
        ("MODEL.FPN.IN_FEATURES", []),
        ("MODEL.RESNETS.OUT_FEATURES", ["stem", "res7"]),
        ("MODEL.ANCHOR_GENERATOR.NAME", "RotatedAnchorGenerator"),
        ("MODEL.PROPOSAL_GENERATOR.NAME", "RRPN"),
        ("MODEL.RESNETS.DEPTH", 26),
        ("MODEL.PIXEL_MEAN", [127.0]),
        ("MODEL.POINT_HEAD", {"NUM_FC": 3}),
        ("INPUT.FORMAT", "YUV-BT.601"),
        ("TEST.AUG.ENABLED", "often"),
        ("VERSION", 1),
        ("MODEL.MASK_ON", "yes"),
        ("MODEL.ROI_HEADS.NUM_CLASSES", True),
        ("MODEL.PROPOSAL_GENERATOR.MIN_SIZE", 5.5),
        ("MODEL.PIXEL_STD", [0, 0, 0]),
        ("MODEL.ROI_HEADS.SOME_NEW_KEY", 1),
    ],
)
def test_error_names_key_that_no_engine_supports(key: str, value: object) -> None:
    for refuse in (parse_config, require_detectron2_runs):
        with pytest.raises(UnsupportedConfig) as caught:
            refuse(tree(**{key: value}))
        assert key in str(caught.value)
        assert str(caught.value).startswith("no engine of lesionserve runs this configuration")
        assert caught.value.other_engine is None


C4 = {
    "MODEL.BACKBONE.NAME": "build_resnet_backbone",
    "MODEL.FPN.IN_FEATURES": [],
    "MODEL.ROI_HEADS.NAME": "Res5ROIHeads",
    "MODEL.ROI_BOX_HEAD.NAME": "",
}
RETINANET = {
    "MODEL.META_ARCHITECTURE": "RetinaNet",
    "MODEL.BACKBONE.NAME": "build_retinanet_resnet_fpn_backbone",
    "MODEL.ROI_HEADS.NAME": "Res5ROIHeads",
    "MODEL.ROI_BOX_HEAD.NAME": "",
}


@pytest.mark.parametrize(
    "changes",
    [
        C4,
        RETINANET,
        {"MODEL.ROI_HEADS.NAME": "CascadeROIHeads"},
        {"MODEL.RESNETS.DEFORM_ON_PER_STAGE": [False, True, True, True]},
        {"MODEL.ROI_BOX_HEAD.POOLER_TYPE": "ROIPool"},
        {"MODEL.ROI_BOX_HEAD.NORM": "LN"},
    ],
)
def test_recommends_detectron2_for_its_models(changes: dict[str, object]) -> None:
    require_detectron2_runs(tree(**changes))
    with pytest.raises(UnsupportedConfig, match="Detectron2 is needed") as caught:
        parse_config(tree(**changes))
    assert caught.value.other_engine == "detectron2"
    assert next(reversed(changes)) in str(caught.value)


def test_does_not_recommend_detectron2_where_it_fails() -> None:
    with pytest.raises(UnsupportedConfig, match=r"^no engine .*KEYPOINT_ON") as caught:
        parse_config(tree(**C4, **{"MODEL.KEYPOINT_ON": True}))
    assert "BACKBONE" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [
        ("MODEL.ROI_HEADS.SCORE_TRESH_TEST", "SCORE_THRESH_TEST"),
        ("MODEL.ROI_HEDS", "ROI_HEADS"),
        ("INPUT.MIN_SIZE_TST", "MIN_SIZE_TEST"),
        ("MODEL.SCORE_THRESH_TEST", None),
        ("MODEL.USE_SIGMOID_CE", "MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE"),
        ("ROI_HEADS", "MODEL.ROI_HEADS"),
        ("MODELS", "MODEL"),
        ("model", "MODEL"),
    ],
)
def test_suggests_name_for_misspelt_or_misplaced_key(key: str, suggestion: str | None) -> None:
    with pytest.raises(UnsupportedConfig, match=f"{key} is not a key of Detectron2") as caught:
        parse_config(tree(**{key: 0.5}))
    if suggestion is not None:
        assert f"(did you mean {suggestion}?)" in str(caught.value)


def test_rejects_key_written_with_dots() -> None:
    flat = tree() | {"MODEL.ROI_HEADS.NUM_CLASSES": 3}
    with pytest.raises(UnsupportedConfig, match=r"NUM_CLASSES is a single name with dots"):
        parse_config(flat)


def test_error_names_configuration_of_version_1() -> None:
    with pytest.raises(UnsupportedConfig, match=r"version 1 .*cfg\.dump"):
        parse_config(tree(**{"MODEL.WEIGHT": "catalog://ImageNet"}))


def test_leaves_out_section_of_trainer_with_remark() -> None:
    changed = tree(**{"SEMISUPNET.BURN_UP_STEP": 2000, "SOLVER.OPTIMIZER": "AdamW"})
    assert parse_config(changed) == parse_config(tree())
    (remark,) = remarks_on(changed)
    assert "SEMISUPNET" in remark
    assert remarks_on(tree()) == ()


def test_ignores_test_time_augmentation_with_remark() -> None:
    changed = tree(**{"TEST.AUG.ENABLED": True})
    parse_config(changed)
    require_detectron2_runs(changed)
    assert "TEST.AUG.ENABLED" in remarks_on(changed)[0]


def test_refusal_is_short_for_long_values() -> None:
    keys = {f"MODEL.{'X' * 500}{number}": "y" * 10_000 for number in range(100)}
    bad = {"MODEL.MASK_ON": "z" * 10_000, "MODEL.FPN.OUT_CHANNELS": 10**5000}
    with pytest.raises(UnsupportedConfig) as caught:
        parse_config(tree(**keys, **bad))
    assert len(str(caught.value)) <= 1000
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("MODEL.MASK_ON", "yes", "must be true or false"),
        ("MODEL.ROI_HEADS.NUM_CLASSES", 2.5, "must be a whole number"),
        ("MODEL.PIXEL_STD", [0, 1, 1], "must be more than 0"),
        ("MODEL.PIXEL_MEAN", [1, 2], "too few values"),
        ("MODEL.RPN", 5, "must be a section"),
        ("MODEL.RESNETS.DEPTH", 26, "must be 18, 34, 50, 101 or 152"),
        ("MODEL.BACKBONE.NAME", "x", "or 'build_resnet_backbone'"),
        ("MODEL.ROI_BOX_HEAD.NUM_CONV", 10**9, "must be at most 100"),
    ],
)
def test_refusal_gives_reason_in_plain_words(key: str, value: object, reason: str) -> None:
    with pytest.raises(UnsupportedConfig) as caught:
        parse_config(tree(**{key: value}))
    assert reason in str(caught.value)
    assert not any(word in str(caught.value) for word in ("Input", "validation", "pydantic"))


def test_rejects_too_large_model_without_building_it() -> None:
    changes = {"MODEL.RESNETS.RES2_OUT_CHANNELS": 65_536, "MODEL.FPN.OUT_CHANNELS": 65_536}
    with pytest.raises(UnsupportedConfig, match="weights"):
        build_model(parse_config(tree(**changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"MODEL.FPN.IN_FEATURES": ["res2", "res4", "res5"]},
        {"MODEL.RPN.IN_FEATURES": ["p2", "p7"]},
        {"MODEL.ANCHOR_GENERATOR.SIZES": [[8], [16]]},
        {"MODEL.ANCHOR_GENERATOR.SIZES": [[8, 12], [16], [32], [64], [128]]},
        {"MODEL.ROI_BOX_HEAD.NUM_FC": 0},
        {"MODEL.RESNETS.DEPTH": 18},
        {"MODEL.FPN.NORM": "GN"},
    ],
)
def test_rejects_contradictory_values(changes: dict[str, object]) -> None:
    with pytest.raises(UnsupportedConfig):
        build_model(parse_config(tree(**changes)))


def test_ignores_keys_of_training() -> None:
    changes = {"SOLVER.BASE_LR": 1.0, "DATASETS.TRAIN": ["x"], "MODEL.DEVICE": "cuda"}
    assert parse_config(tree(**changes)) == parse_config(tree())


def test_file_overrides_its_base(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "deep.yaml").write_text(yaml.safe_dump(SMALL))
    (tmp_path / "base" / "mid.yaml").write_text(
        "_BASE_: deep.yaml\nMODEL: {ROI_HEADS: {NUM_CLASSES: 7}}\n"
    )
    top = tmp_path / "top.yaml"
    top.write_text("_BASE_: base/mid.yaml\nMODEL: {ROI_HEADS: {SCORE_THRESH_TEST: 0.9}}\n")
    heads = read_config(top).MODEL.ROI_HEADS
    assert (heads.NUM_CLASSES, heads.SCORE_THRESH_TEST, heads.NAME) == (7, 0.9, "StandardROIHeads")


def test_later_base_overrides_earlier_base(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("X: {P: 1, Q: 1}\n")
    (tmp_path / "b.yaml").write_text("X: {Q: 2}\n")
    (tmp_path / "c.yaml").write_text("_BASE_: [a.yaml, b.yaml]\n")
    assert load_config_file(tmp_path / "c.yaml") == {"X": {"P": 1, "Q": 2}}


def test_rejects_circle_of_bases(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("_BASE_: a.yaml\n")
    with pytest.raises(UnreadableConfig, match="circle"):
        load_config_file(tmp_path / "a.yaml")


def test_text_of_python_literal_becomes_its_value(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "A: (10.0, 5.0)\nB: !!python/tuple [1, 2]\nC: BGR\nD: '[[8], [16]]'\nE: '{[1]: 2}'\n"
    )
    assert load_config_file(path) == {
        "A": [10.0, 5.0],
        "B": [1, 2],
        "C": "BGR",
        "D": [[8], [16]],
        "E": "{[1]: 2}",
    }


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2]",
        "a: [",
        "!!python/object/apply:os.getcwd []",
        "\xff",
        "MODEL: &a {X: *a}",
        "A: " + "[" * 3000,
        "_BASE_: 5",
        "_BASE_:",
        "_BASE_: [1]",
        "_BASE_: ~nosuchuser/x.yaml",
    ],
)
def test_rejects_file_that_is_not_a_yaml_mapping(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UnreadableConfig, match=r"c\.yaml") as caught:
        load_config_file(path)
    assert "\n" not in str(caught.value)


def test_error_names_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableConfig, match=r"gone\.yaml"):
        load_config_file(tmp_path / "gone.yaml")
