"""Test that checkpoints of many programs load, or are refused by a message that names them."""

import argparse
import pickle
import sys
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.engines.files.checkpoint import load_strictly, open_checkpoint
from pipeline.engines.portable.build import build_model
from pipeline.engines.portable.config import parse_config
from pipeline.engines.portable.maskrcnn import MaskRCNN
from pipeline.errors import CheckpointMismatch, ModelError
from tests.models import tree, weights

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    return weights(tree())


@pytest.fixture
def model() -> MaskRCNN:
    return build_model(parse_config(tree()))


def prefixed(prefix: str, state: State) -> State:
    return {f"{prefix}{key}": value for key, value in state.items()}


def assert_loads(path: Path, state: State, *, trust: bool = False) -> tuple[str, ...]:
    """Assert that a fresh model takes the file's weights; return the remarks."""
    fresh = build_model(parse_config(tree()))
    checkpoint = open_checkpoint(path, trust_pickle=trust)
    remarks = load_strictly(fresh, checkpoint.weights)
    loaded = fresh.state_dict()
    assert all(torch.equal(loaded[key], state[key]) for key in state)
    return checkpoint.remarks + remarks


def refusal(path: Path, *, trust: bool = False) -> str:
    with pytest.raises(ModelError) as caught:
        load_strictly(
            build_model(parse_config(tree())), open_checkpoint(path, trust_pickle=trust).weights
        )
    assert len(str(caught.value)) <= 1000
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize(
    "place", ["model", "state_dict", "model_state_dict", "model_state", "network"]
)
def test_finds_state_dict_under_usual_names(tmp_path: Path, state: State, place: str) -> None:
    momenta = {"state": {0: {"momentum_buffer": torch.zeros(4)}}, "param_groups": [{"lr": 0.1}]}
    torch.save({"epoch": 3, place: state, "optimizer": momenta}, tmp_path / "m.pyth")
    assert assert_loads(tmp_path / "m.pyth", state) == ()


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "module.model.", "module._orig_mod.", "a.b."]
)
def test_drops_prefix_of_all_names(tmp_path: Path, state: State, prefix: str) -> None:
    torch.save({"state_dict": prefixed(prefix, state)}, tmp_path / "m.pth")
    assert assert_loads(tmp_path / "m.pth", state) == ()


def test_drops_wrapper_within_names(tmp_path: Path, state: State) -> None:
    wrapped = {key.replace("backbone.", "backbone._orig_mod."): state[key] for key in state}
    torch.save(wrapped, tmp_path / "m.pth")
    assert assert_loads(tmp_path / "m.pth", state) == ()


def test_leaves_out_loss_of_lightning_checkpoint(tmp_path: Path, state: State) -> None:
    content = prefixed("model.", state) | {"loss.weight": torch.ones(2), "steps": torch.tensor(5)}
    torch.save({"state_dict": content, "pytorch-lightning_version": "2.4"}, tmp_path / "m.ckpt")
    (remark,) = assert_loads(tmp_path / "m.ckpt", state)
    assert "loss.weight" in remark


def test_error_names_teacher_and_student(tmp_path: Path, state: State) -> None:
    both = prefixed("modelStudent.", state) | prefixed("modelTeacher.", state)
    torch.save({"model": both}, tmp_path / "m.pth")
    text = refusal(tmp_path / "m.pth")
    assert "'modelStudent.' (281)" in text
    assert "removeprefix('modelTeacher.')" in text


@pytest.mark.parametrize("place", ["ema_state", "model_ema"])
def test_leaves_out_average_beside_model_with_remark(
    tmp_path: Path, state: State, place: str
) -> None:
    average = {key: value * 0.5 for key, value in state.items()}
    content = {"model": state, place: average if place == "ema_state" else {"module": average}}
    torch.save(content, tmp_path / "m.pth")
    (remark,) = assert_loads(tmp_path / "m.pth", state)
    assert f"{place!r} (such as an average, EMA) are left out" in remark


def test_loads_average_without_model_beside_it(tmp_path: Path, state: State) -> None:
    torch.save({"ema_state": state}, tmp_path / "m.pth")
    assert_loads(tmp_path / "m.pth", state)


def test_error_names_several_sets_of_weights(tmp_path: Path, state: State) -> None:
    torch.save({"first": state, "second": dict(state)}, tmp_path / "m.pth")
    assert "'first', 'second'" in refusal(tmp_path / "m.pth")


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("wrap", [lambda whole: whole, lambda whole: {"model": whole, "epoch": 1}])
def test_loads_weights_of_whole_module_when_trusted(
    tmp_path: Path, model: MaskRCNN, wrap: Any, is_zip: bool
) -> None:
    path = tmp_path / "m.pth"
    torch.save(wrap(nn.DataParallel(model)), path, _use_new_zipfile_serialization=is_zip)
    assert "--trust-pickle" in refusal(path)
    assert_loads(path, model.state_dict(), trust=True)


@pytest.fixture
def gone() -> Iterator[types.ModuleType]:
    """Yield a module `gone`, which cannot be imported after its objects are pickled."""
    module = types.ModuleType("gone")
    for name, base in (("CfgNode", dict), ("Net", nn.Module), ("Tool", object)):
        setattr(module, name, type(name, (base,), {"__module__": "gone"}))
    sys.modules["gone"] = module
    yield module
    sys.modules.pop("gone", None)


@pytest.mark.parametrize("kind", ["torch", "pickle", "arrays"])
def test_objects_of_missing_modules_become_inert(
    tmp_path: Path, state: State, gone: Any, kind: str
) -> None:
    path = tmp_path / "m.pkl"
    beside = {"cfg": gone.CfgNode(A=gone.CfgNode(B=1)), "tool": gone.Tool(), "best": np.float64(1)}
    content = {"model": state, "args": argparse.Namespace(lr=1), **beside}
    if kind == "arrays":
        content["model"] = {key: value.numpy() for key, value in state.items()}
    if kind == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    del sys.modules["gone"]
    assert "--trust-pickle" in refusal(path)
    assert assert_loads(path, state, trust=True) == ()


def test_error_names_missing_module_where_weights_need_it(tmp_path: Path, gone: Any) -> None:
    torch.save(gone.Tool(), tmp_path / "tool.pth")
    torch.save({"model": gone.Tool()}, tmp_path / "model.pth")
    del sys.modules["gone"]
    for name in ("tool.pth", "model.pth"):
        text = refusal(tmp_path / name, trust=True)
        assert "gone.Tool" in text
        assert "model.state_dict()" in text


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("ran",))


@pytest.mark.parametrize("name", ["m.pth", "m.pkl"])
def test_runs_no_code_of_trusted_file(
    tmp_path: Path, state: State, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {"model": state, "hook": Payload()}
    if name == "m.pth":
        torch.save(content, tmp_path / name)
    else:
        (tmp_path / name).write_bytes(pickle.dumps(content))
    assert_loads(tmp_path / name, state, trust=True)
    assert capsys.readouterr().out == ""


def test_frozen_norms_without_statistics_get_defaults(tmp_path: Path, state: State) -> None:
    bare = {key: value for key, value in state.items() if "running_" not in key}
    torch.save(bare, tmp_path / "m.pth")
    fresh = build_model(parse_config(tree()))
    checkpoint = open_checkpoint(tmp_path / "m.pth")
    for layer in fresh.modules():
        if hasattr(layer, "running_var"):
            layer.running_var.fill_(7)
    (remark,) = load_strictly(fresh, checkpoint.weights)
    assert "mean 0 and variance 1" in remark
    loaded = fresh.state_dict()
    means = [value for key, value in loaded.items() if key.endswith("running_mean")]
    variances = [value for key, value in loaded.items() if key.endswith("running_var")]
    assert means
    assert not any(value.any() for value in means)
    assert all(bool((value == 1).all()) for value in variances)


def test_rejects_trained_norms_without_statistics(tmp_path: Path, state: State) -> None:
    bare = {key: value for key, value in state.items() if "running_" not in key}
    trained = build_model(parse_config(tree(**{"MODEL.RESNETS.NORM": "BN"})))
    with pytest.raises(CheckpointMismatch, match=r"106 missing: .*running_mean"):
        load_strictly(trained, bare)


@pytest.mark.parametrize(
    "name",
    [
        "roi_heads.keypoint_head.conv_fcn1.weight",
        "roi_heads.densepose_head.weight",
        "backbone.bottom_up.linear.weight",
        "sem_seg_head.predictor.weight",
        "logit_scale",
        "ema.backbone.bottom_up.stem.conv1.weight",
    ],
)
def test_leaves_out_weight_of_absent_part(model: MaskRCNN, state: State, name: str) -> None:
    (remark,) = load_strictly(model, state | {name: torch.ones(1)})
    assert name in remark


@pytest.mark.parametrize(
    "name",
    [
        "backbone.bottom_up.res4.6.conv1.weight",
        "backbone.bottom_up.res6.0.conv1.weight",
        "backbone.bottom_up.stem.conv1.bias",
        "backbone.bottom_up.stem.conv2.weight",
        "backbone.fpn_lateral6.weight",
        "backbone.top_block.p6.weight",
        "proposal_generator.rpn_head.conv.norm.weight",
        "roi_heads.box_head.fc2.weight",
        "roi_heads.mask_head.mask_fcn2.weight",
        "roi_heads.box_predictor.0.cls_score.weight",
        "roi_heads.box_predictor",
    ],
)
def test_rejects_additional_layer(model: MaskRCNN, state: State, name: str) -> None:
    with pytest.raises(CheckpointMismatch, match=f"1 unexpected: {name}"):
        load_strictly(model, state | {name: torch.ones(1)})


@pytest.mark.parametrize(
    ("changes", "guess"),
    [
        ({"MODEL.RESNETS.DEPTH": 101}, "looks like ResNet-101; the YAML says ResNet-50"),
        ({"MODEL.RESNETS.NUM_GROUPS": 4}, r"looks like ResNeXt-50 \(4 groups\); the YAML says Res"),
        ({"MODEL.ROI_HEADS.NUM_CLASSES": 9}, "looks like 9 classes; the YAML says 2 classes"),
        ({"MODEL.MASK_ON": False}, "the YAML says a box head of 1 layer and a mask head"),
        ({"MODEL.ROI_BOX_HEAD.NUM_FC": 2}, "looks like a box head of 2 layers"),
    ],
)
def test_mismatch_error_says_what_weights_look_like(
    tmp_path: Path, changes: dict[str, object], guess: str, model: MaskRCNN
) -> None:
    torch.save(weights(tree(**changes)), tmp_path / "m.pth")
    with pytest.raises(CheckpointMismatch, match=guess) as caught:
        load_strictly(model, open_checkpoint(tmp_path / "m.pth").weights)
    assert len(str(caught.value)) <= 1000


@pytest.mark.parametrize(
    ("names", "guess"),
    [
        (["backbone.body.layer1.0.conv1.weight", "rpn.head.conv.weight"], "torchvision"),
        (["backbone.layer1.0.conv1.weight", "neck.lateral_convs.0.conv.weight"], "MMDetection"),
        (["model.0.conv.weight", "model.24.m.0.weight"], "YOLO"),
        (["res2_0_branch2a_w", "conv1_w"], "Detectron1"),
        (["backbone.bottom_up.patch_embed.proj.weight"], "transformer"),
        (["conv1.weight", "layer1.0.conv1.weight", "fc.weight"], "classifier"),
        (["backbone.bottom_up.res2.0.conv1.weight"], "no box head"),
        (["backbone.bottom_up.res2.0.conv1.weight", "head.cls_score.weight"], "RetinaNet"),
    ],
)
def test_mismatch_guesses_other_framework(tmp_path: Path, names: list[str], guess: str) -> None:
    torch.save({name: torch.ones(1) for name in names}, tmp_path / "m.pth")
    assert guess in refusal(tmp_path / "m.pth")


def test_mismatch_of_many_long_names_is_short(tmp_path: Path) -> None:
    torch.save({f"{'x' * 900}\n\x1b[2J{i}": torch.ones(1) for i in range(2000)}, tmp_path / "m.pth")
    assert "2000 unexpected" in refusal(tmp_path / "m.pth")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><title>Sign in</title>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\x1f\x8b\x08" + bytes(40), "compressed"),
        (b"MODEL:\n  MASK_ON: true\n", "--config and --weights swapped"),
        (b"\x40" + bytes(7) + b'{"a.weight":{}}', "safetensors"),
        (bytes(range(128, 256)), "is damaged"),
    ],
)
def test_error_names_kind_of_file_that_is_no_checkpoint(
    tmp_path: Path, content: bytes, word: str
) -> None:
    (tmp_path / "m.pth").write_bytes(content)
    assert word in refusal(tmp_path / "m.pth", trust=True)


def test_reports_truncated_file(tmp_path: Path, state: State) -> None:
    torch.save(state, tmp_path / "m.pth")
    content = (tmp_path / "m.pth").read_bytes()
    (tmp_path / "m.pth").write_bytes(content[: len(content) // 2])
    assert "copy it again" in refusal(tmp_path / "m.pth")


class Nothing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


def test_error_names_torchscript(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(Nothing()), str(tmp_path / "m.pth"))
    assert "TorchScript" in refusal(tmp_path / "m.pth", trust=True)


def test_rejects_device_without_reading_it(tmp_path: Path) -> None:
    assert "not a regular file" in refusal(Path("/dev/zero"))


def test_rejects_tensor_larger_than_its_file(tmp_path: Path) -> None:
    torch.save({"a.weight": torch.zeros(1).expand(1 << 40)}, tmp_path / "m.pth")
    assert "larger than the file" in refusal(tmp_path / "m.pth")


@pytest.mark.parametrize(
    "content", [{}, {"model": {}}, {"optimizer": {"state": {}}}, torch.zeros(3), [1], None]
)
def test_error_names_content_of_file_without_weights(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "m.pth")
    text = refusal(tmp_path / "m.pth")
    assert "holds" in text
    assert "state_dict()" in text
