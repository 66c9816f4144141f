from pathlib import Path

import pytest
import yaml

from pipeline.config_file import load_config_file
from pipeline.engine.build import build_model
from pipeline.engine.config import parse_config, read_config
from pipeline.errors import UnreadableConfig, UnsupportedConfig
from tests.models import SMALL, tree


def test_a_short_yaml_takes_detectron2s_defaults() -> None:
    config = parse_config(tree())
    assert config.MODEL.RPN.NMS_THRESH == 0.7
    assert config.MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS == (10.0, 10.0, 5.0, 5.0)
    assert config.MODEL.RESNETS.NORM == "FrozenBN"


def test_an_empty_yaml_is_refused_since_detectron2s_default_is_another_model() -> None:
    with pytest.raises(UnsupportedConfig, match=r"MODEL.BACKBONE.NAME = 'build_resnet_backbone'"):
        parse_config({})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MODEL.META_ARCHITECTURE", "RetinaNet"),
        ("MODEL.META_ARCHITECTURE", "PanopticFPN"),
        ("MODEL.BACKBONE.NAME", "build_resnet_backbone"),
        ("MODEL.KEYPOINT_ON", True),
        ("MODEL.LOAD_PROPOSALS", True),
        ("MODEL.ROI_HEADS.NAME", "CascadeROIHeads"),
        ("MODEL.ROI_MASK_HEAD.NAME", "PointRendMaskHead"),
        ("MODEL.ROI_BOX_HEAD.POOLER_TYPE", "ROIPool"),
        ("MODEL.ROI_BOX_HEAD.NORM", "LN"),
        ("MODEL.ANCHOR_GENERATOR.NAME", "RotatedAnchorGenerator"),
        ("MODEL.PROPOSAL_GENERATOR.NAME", "RRPN"),
        ("MODEL.RESNETS.DEPTH", 26),
        ("MODEL.RESNETS.DEFORM_ON_PER_STAGE", [False, True, True, True]),
        ("MODEL.PIXEL_MEAN", [127.0]),
        ("MODEL.POINT_HEAD", {"NUM_FC": 3}),
        ("INPUT.FORMAT", "YUV-BT.601"),
        ("TEST.AUG.ENABLED", True),
        ("VERSION", 1),
        ("MODEL.MASK_ON", "yes"),
        ("MODEL.ROI_HEADS.NUM_CLASSES", True),
        ("MODEL.PROPOSAL_GENERATOR.MIN_SIZE", 5.5),
        ("MODEL.PIXEL_STD", [0, 0, 0]),
        ("MODEL.ROI_HEADS.SOME_NEW_KEY", 1),
    ],
)
def test_a_key_that_cannot_be_honoured_is_named_with_its_value(key: str, value: object) -> None:
    with pytest.raises(UnsupportedConfig) as caught:
        parse_config(tree(**{key: value}))
    assert key in str(caught.value)
    assert "Detectron2 is needed" in str(caught.value)


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
def test_values_that_contradict_each_other_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(UnsupportedConfig):
        build_model(parse_config(tree(**changes)))


def test_training_keys_are_not_read() -> None:
    changes = {"SOLVER.BASE_LR": 1.0, "DATASETS.TRAIN": ["x"], "MODEL.DEVICE": "cuda"}
    assert parse_config(tree(**changes)) == parse_config(tree())


def test_a_base_lies_beneath_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "deep.yaml").write_text(yaml.safe_dump(SMALL))
    (tmp_path / "base" / "mid.yaml").write_text(
        "_BASE_: deep.yaml\nMODEL: {ROI_HEADS: {NUM_CLASSES: 7}}\n"
    )
    top = tmp_path / "top.yaml"
    top.write_text("_BASE_: base/mid.yaml\nMODEL: {ROI_HEADS: {SCORE_THRESH_TEST: 0.9}}\n")
    heads = read_config(top).MODEL.ROI_HEADS
    assert (heads.NUM_CLASSES, heads.SCORE_THRESH_TEST, heads.NAME) == (7, 0.9, "StandardROIHeads")


def test_of_several_bases_the_later_wins(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("X: {P: 1, Q: 1}\n")
    (tmp_path / "b.yaml").write_text("X: {Q: 2}\n")
    (tmp_path / "c.yaml").write_text("_BASE_: [a.yaml, b.yaml]\n")
    assert load_config_file(tmp_path / "c.yaml") == {"X": {"P": 1, "Q": 2}}


def test_a_circle_of_bases_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("_BASE_: a.yaml\n")
    with pytest.raises(UnreadableConfig, match="circle"):
        load_config_file(tmp_path / "a.yaml")


def test_python_literals_in_text_become_their_values(tmp_path: Path) -> None:
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
def test_what_is_no_plain_yaml_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UnreadableConfig, match=r"c\.yaml") as caught:
        load_config_file(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableConfig, match=r"gone\.yaml"):
        load_config_file(tmp_path / "gone.yaml")
