import contextlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.engines.files.checkpoint import load_strictly, read_checkpoint
from pipeline.engines.portable.build import build_model
from pipeline.engines.portable.config import parse_config
from pipeline.errors import CheckpointMismatch, ModelError
from tests.models import tree, weights


class Payload:
    """An object that runs code when it is unpickled, as in a hostile file."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("run",))


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return weights(tree())


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def test_reads_state_dict_bare_or_under_model(tmp_path: Path, state: dict) -> None:
    torch.save(state, tmp_path / "bare.pth")
    torch.save({"model": state, "optimizer": {"lr": 1}, "iteration": 5}, tmp_path / "full.pth")
    assert same(read_checkpoint(tmp_path / "bare.pth"), state)
    assert same(read_checkpoint(tmp_path / "full.pth"), state)


def test_drops_data_parallel_prefix(tmp_path: Path, state: dict) -> None:
    torch.save({f"module.{key}": value for key, value in state.items()}, tmp_path / "m.pth")
    assert same(read_checkpoint(tmp_path / "m.pth"), state)


def test_drops_values_that_are_not_weights(tmp_path: Path, state: dict) -> None:
    extra = {
        "pixel_mean": torch.zeros(3, 1, 1),
        "proposal_generator.anchor_generator.cell_anchors.0": torch.zeros(3, 4),
        "backbone.bottom_up.stem.conv1.norm.num_batches_tracked": torch.tensor(7),
    }
    torch.save({**state, **extra}, tmp_path / "m.pth")
    assert same(read_checkpoint(tmp_path / "m.pth"), state)


def test_loads_float16_weights_into_float32_model(state: dict) -> None:
    model = build_model(parse_config(tree()))
    load_strictly(model, {key: value.half() for key, value in state.items()})
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}


def test_mismatch_lists_missing_unexpected_and_misshaped(state: dict) -> None:
    key = "roi_heads.box_predictor.cls_score.weight"
    state[key] = torch.zeros(9, 16)
    del state["roi_heads.mask_head.predictor.bias"]
    state["roi_heads.keypoint_head.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointMismatch) as caught:
        load_strictly(build_model(parse_config(tree())), state)
    text = str(caught.value)
    assert "1 missing: roi_heads.mask_head.predictor.bias" in text
    assert "1 unexpected: roi_heads.keypoint_head.weight" in text
    assert f"1 mis-shaped: {key} (9, 16) instead of (3, 16)" in text
    assert "\n" not in text


def test_rejects_checkpoint_with_code_without_running_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"model": Payload()}, tmp_path / "evil.pth")
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Payload()))
    for name in ("evil.pth", "evil.pkl"):
        with pytest.raises(ModelError):
            read_checkpoint(tmp_path / name)
    assert capsys.readouterr().out == ""


def test_reads_model_zoo_pickle_when_trusted(tmp_path: Path, state: dict) -> None:
    arrays = {key: value.numpy() for key, value in state.items()}
    content = {"model": arrays, "__author__": "Detectron2 Model Zoo"}
    (tmp_path / "zoo.pkl").write_bytes(pickle.dumps(content))
    assert same(read_checkpoint(tmp_path / "zoo.pkl", trust_pickle=True), state)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04broken"])
def test_error_names_damaged_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.pth").write_bytes(content)
    with pytest.raises(ModelError, match=r"m\.pth"):
        read_checkpoint(tmp_path / "m.pth")


def test_error_names_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.pth"):
        read_checkpoint(tmp_path / "gone.pth")


def test_rejects_content_other_than_weights(tmp_path: Path) -> None:
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    torch.save({"model": {"a": "text"}}, tmp_path / "text.pth")
    for name in ("list.pth", "text.pth"):
        with pytest.raises(CheckpointMismatch):
            read_checkpoint(tmp_path / name)


def test_refusal_names_foreign_object_and_remedy(tmp_path: Path, state: dict) -> None:
    torch.save({"model": state, "best": np.float64(0.5), "path": tmp_path}, tmp_path / "m.pth")
    with pytest.raises(ModelError, match=r"holds \S+ beside plain tensors.*--trust-pickle"):
        read_checkpoint(tmp_path / "m.pth")
    assert same(read_checkpoint(tmp_path / "m.pth", trust_pickle=True), state)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([1.0, float("nan")]),
        torch.tensor([float("inf")]),
        torch.ones(3, dtype=torch.int64),
        torch.ones(2, 2).to_sparse(),
    ],
)
def test_rejects_invalid_tensor_by_name(tmp_path: Path, tensor) -> None:
    torch.save({"a.weight": tensor}, tmp_path / "m.pth")
    with pytest.raises(CheckpointMismatch, match=r"a\.weight"):
        read_checkpoint(tmp_path / "m.pth")


@pytest.mark.parametrize("seed", range(40))
def test_damaged_checkpoint_raises_only_model_errors(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "m.pth"
    torch.save(
        {"a": torch.ones(4), "b": [1, {"c": 2}]}, path, _use_new_zipfile_serialization=seed % 2
    )
    damaged = bytearray(path.read_bytes())
    random = np.random.default_rng(seed)
    for position in random.integers(0, len(damaged), 8):
        damaged[position] ^= 1 << int(random.integers(0, 8))
    path.write_bytes(damaged[: int(random.integers(1, len(damaged) + 1))])
    with contextlib.suppress(ModelError):
        read_checkpoint(path)
