import pickle  # nosec B403, see below
import re
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.engines.files.architecture import difference
from pipeline.engines.files.file_kind import kind_of
from pipeline.engines.files.pickles import Array, Inert, load_pickle, load_torch_file
from pipeline.engines.files.state_dict import find_state
from pipeline.errors import CheckpointMismatch, ModelError
from pipeline.text import few, one_line

State = dict[str, Tensor]

# Written by older Detectron2 or by training, and no part of the function that the model computes.
IGNORED_SUFFIXES = ("num_batches_tracked", "pixel_mean", "pixel_std", "fed_loss_cls_weights")
IGNORED_PARTS = ("anchor_generator.cell_anchors",)

# What unpickling a damaged or foreign file raises.
UNPICKLING_ERRORS = (
    pickle.UnpicklingError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True)
class Checkpoint:
    """The weights of a checkpoint on the CPU, with remarks on what of it was left out."""

    weights: State
    remarks: tuple[str, ...] = ()


def read_checkpoint(path: Path, *, trust_pickle: bool = False) -> State:
    """Return the weights of `open_checkpoint`."""
    return open_checkpoint(path, trust_pickle=trust_pickle).weights


def open_checkpoint(path: Path, *, trust_pickle: bool = False) -> Checkpoint:
    """Read a checkpoint's weights onto the CPU, without anything of the training.

    Takes state dicts of any floating dtype, bare or under a usual name such as `model`, with or
    without a prefix before all names, from files of `torch.save`. A file that holds other objects,
    such as a whole module or a model zoo `.pkl`, is opened only with `trust_pickle`; even then
    nothing that it names is run.
    Raises ModelError where the file cannot be read, CheckpointMismatch where it holds no weights.
    """
    kind = kind_of(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch comments on files that it then refuses
            if kind == "pickle":
                content = _open_pickle(path, trust_pickle)
            else:
                content = _open_torch_file(path, trust_pickle)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except UNPICKLING_ERRORS as error:
        raise ModelError(f"{path.name} {_why_refused(str(error))}") from error
    return weights_in(content, path.name, path.stat().st_size)


def weights_in(content: Any, file_name: str, size: int) -> Checkpoint:
    """Return the weights of what a file of `size` bytes held. Raises CheckpointMismatch."""
    state, remarks = find_state(content, file_name)
    return Checkpoint(_clean(state, file_name, size), remarks)


def _open_torch_file(path: Path, trusted: bool) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        if not trusted:
            raise
    return load_torch_file(path)


def _open_pickle(path: Path, trusted: bool) -> Any:
    if not trusted:
        raise ModelError(
            f"{path.name} is a pickle, which can run any code when it is opened. If you trust "
            "where it came from, convert it once with `lesionserve pack --trust-pickle`"
        )
    return load_pickle(path)


def _why_refused(reason: str) -> str:
    # torch's own text advises to open the file without safety.
    if foreign := re.search(r"GLOBAL (\S+)", reason):
        return (
            f"holds {one_line(foreign[1], 100)} beside plain tensors, which could run code when it "
            "is opened. If you trust where it came from, convert it once with "
            "`lesionserve pack --trust-pickle`"
        )
    return "is damaged, or not a checkpoint that torch.save wrote"


def _clean(state: Mapping[str, Any], file_name: str, size: int) -> State:
    weights: State = {}
    room = 2 * size  # for weights that share
    for key, value in state.items():
        if not is_ignored(key) and not _is_counter(value):
            name = f"{file_name}: {one_line(key, 100)}"
            tensor = _to_tensor(value, name)
            # A few bytes can claim any shape, by strides of zero.
            room -= tensor.numel() * tensor.element_size()
            if room < 0:
                raise CheckpointMismatch(f"{name} is larger than the file that holds it")
            if not bool(tensor.isfinite().all()):
                raise CheckpointMismatch(
                    f"{name} holds values that are not finite; the training diverged"
                )
            weights[key] = tensor
    if not weights:
        raise CheckpointMismatch(f"{file_name} holds no weights")
    return weights


def _to_tensor(value: Any, name: str) -> Tensor:
    tensor = value.tensor() if isinstance(value, Array) else value
    if not isinstance(tensor, Tensor):
        kind = value.name if isinstance(value, Inert) else type(value).__name__
        raise CheckpointMismatch(f"{name} is a {kind}, not a tensor")
    if tensor.layout is not torch.strided or tensor.is_meta or not tensor.is_floating_point():
        raise CheckpointMismatch(f"{name} is no dense tensor of floating-point numbers")
    return tensor.detach()


def _is_counter(value: Any) -> bool:
    """Whether a value is a single whole number, as layers and metrics count with in training."""
    return isinstance(value, Tensor) and value.dim() == 0 and not value.is_floating_point()


def is_ignored(key: str) -> bool:
    return key.endswith(IGNORED_SUFFIXES) or any(part in key for part in IGNORED_PARTS)


def load_strictly(model: nn.Module, state: State) -> tuple[str, ...]:
    """Copy the weights in; every name and shape must match. Return remarks.

    As in Detectron2, frozen batch norms without statistics take 0 and 1, and weights of parts that
    the model does not have are left out; a remark says so. Weights too many within a part that it
    has mean another model.
    Raises CheckpointMismatch, which says how many are missing, unexpected and mis-shaped, and what
    the checkpoint may be of.
    """
    expected = {key: value for key, value in model.state_dict().items() if not is_ignored(key)}
    unexpected = [key for key in state if key not in expected]
    spare = {key for key in unexpected if _is_spare(key, model)}
    filled = {key: value for key, value in _statistics(model).items() if key not in state}
    missing = [key for key in expected if key not in state and key not in filled]
    misshaped = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if key in state and state[key].shape != tensor.shape
    ]
    if missing or misshaped or len(spare) < len(unexpected):
        listed = {"missing": missing, "unexpected": unexpected, "mis-shaped": misshaped}
        guess = difference(_shapes(state), _shapes(expected))
        raise CheckpointMismatch(
            f"the checkpoint does not fit the configuration; {f'{guess}; ' if guess else ''}"
            + "; ".join(f"{len(keys)} {what}: {few(keys)}" for what, keys in listed.items() if keys)
        )
    # Not strict a second time: a model of Detectron2's own has the ignored keys.
    kept = {key: value for key, value in state.items() if key not in spare}
    model.load_state_dict(kept | filled, strict=False)
    return tuple(_remarks(sorted(spare), sorted(filled)))


def _remarks(spare: list[str], filled: list[str]) -> list[str]:
    remarks = []
    if spare:
        remarks.append(
            "what the checkpoint holds for parts that the model does not have is left out "
            f"({len(spare)}): {few(spare)}"
        )
    if filled:
        remarks.append(
            "statistics of frozen batch norms that the checkpoint lacks are taken as mean 0 and "
            f"variance 1, as by Detectron2 ({len(filled)}): {few(filled)}"
        )
    return remarks


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


def _is_spare(key: str, model: nn.Module) -> bool:
    """Whether a weight belongs to a part that the model does not have.

    Such a part hangs at the model itself, among the heads or beside the stages, and is no further
    member of a series of layers, such as a stage or a block more.
    """
    parts = key.split(".")
    depth, module = 0, model
    while depth < len(parts) and (child := dict(module.named_children()).get(parts[depth])):
        depth, module = depth + 1, child
    if ".".join(parts[:depth]) not in ("", "roi_heads", "backbone.bottom_up"):
        return False
    stems = {name.rstrip("0123456789") for name, _ in module.named_children()}
    return depth < len(parts) and parts[depth].rstrip("0123456789") not in stems


def _statistics(model: nn.Module) -> State:
    """Return what Detectron2 takes for the statistics of frozen batch norms that lack them."""
    statistics: State = {}
    for name, layer in model.named_modules():
        if type(layer).__name__ == "FrozenBatchNorm2d":  # this engine's and Detectron2's
            for key, fill in (("running_mean", 0.0), ("running_var", 1.0)):
                statistics[f"{name}.{key}"] = torch.full_like(getattr(layer, key), fill)
    return statistics
