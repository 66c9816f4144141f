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

# The names of values that older versions of Detectron2 or the training write, and that are no
# weights of the model.
IGNORED_SUFFIXES = ("num_batches_tracked", "pixel_mean", "pixel_std", "fed_loss_cls_weights")
IGNORED_PARTS = ("anchor_generator.cell_anchors",)

# The errors that unpickling a damaged or foreign file raises.
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
    """The weights of a checkpoint on the CPU, with remarks on the parts that were left out."""

    weights: State
    remarks: tuple[str, ...] = ()


def read_checkpoint(path: Path, *, trust_pickle: bool = False) -> State:
    """Return the weights of `open_checkpoint`, without the remarks."""
    return open_checkpoint(path, trust_pickle=trust_pickle).weights


def open_checkpoint(path: Path, *, trust_pickle: bool = False) -> Checkpoint:
    """Return the weights in a checkpoint, on the CPU, without the data of the training.

    Files of `torch.save` are read that hold a state dict of any floating dtype, bare or under a
    usual name such as `model`, with or without a prefix of all names. A file with other objects,
    such as a whole module or a `.pkl` of the model zoo, is opened only with `trust_pickle`, and
    even then no code that it names is run.
    Raise ModelError where the file cannot be read, CheckpointMismatch where it holds no weights.
    """
    kind = kind_of(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns before it refuses a file
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
    """Return the weights in the unpickled content of a file.

    size: the size of the file in bytes; weights of more than twice as much are refused. Raise
    CheckpointMismatch if there are no weights or they are not usable.
    """
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
            "its source, convert it once with `lesionserve pack --trust-pickle`"
        )
    return load_pickle(path)


def _why_refused(reason: str) -> str:
    # torch's own text advises opening the file without protection, so it is not shown.
    if match := re.search(r"GLOBAL (\S+)", reason):
        return (
            f"holds {one_line(match[1], 100)} beside plain tensors, which could run code when it "
            "is opened. If you trust its source, convert it once with "
            "`lesionserve pack --trust-pickle`"
        )
    return "is damaged, or not a checkpoint that torch.save wrote"


def _clean(state: Mapping[str, Any], file_name: str, size: int) -> State:
    weights: State = {}
    remaining_bytes = 2 * size  # twice, since weights may share their storage
    for key, value in state.items():
        if not is_ignored(key) and not _is_counter(value):
            name = f"{file_name}: {one_line(key, 100)}"
            tensor = _to_tensor(value, name)
            # A tensor with strides of zero can have any shape in a file of a few bytes.
            remaining_bytes -= tensor.numel() * tensor.element_size()
            if remaining_bytes < 0:
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
        raise CheckpointMismatch(f"{name} is not a dense tensor of floating-point numbers")
    return tensor.detach()


def _is_counter(value: Any) -> bool:
    """Return whether a value is a single integer, such as layers and metrics count in training."""
    return isinstance(value, Tensor) and value.dim() == 0 and not value.is_floating_point()


def is_ignored(key: str) -> bool:
    return key.endswith(IGNORED_SUFFIXES) or any(part in key for part in IGNORED_PARTS)


def load_strictly(model: nn.Module, state: State) -> tuple[str, ...]:
    """Copy the weights into the model, and return remarks. Every name and shape must match.

    As in Detectron2, frozen batch norms without statistics get mean 0 and variance 1, and the
    weights of parts that the model does not have are left out; remarks say so. Additional weights
    within a part that the model has are refused, since they belong to another model.
    Raise CheckpointMismatch, which lists the missing, unexpected and mis-shaped weights, and says
    of which model the checkpoint may be.
    """
    expected = {key: value for key, value in model.state_dict().items() if not is_ignored(key)}
    unexpected = [key for key in state if key not in expected]
    unused_keys = {key for key in unexpected if _is_of_absent_part(key, model)}
    defaults = {key: value for key, value in _statistics(model).items() if key not in state}
    missing = [key for key in expected if key not in state and key not in defaults]
    misshaped = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if key in state and state[key].shape != tensor.shape
    ]
    if missing or misshaped or len(unused_keys) < len(unexpected):
        faults = {"missing": missing, "unexpected": unexpected, "mis-shaped": misshaped}
        guess = difference(_shapes(state), _shapes(expected))
        raise CheckpointMismatch(
            f"the checkpoint does not fit the configuration; {f'{guess}; ' if guess else ''}"
            + "; ".join(f"{len(keys)} {name}: {few(keys)}" for name, keys in faults.items() if keys)
        )
    # Not strict: Detectron2's own model also has the ignored keys.
    weights = {key: value for key, value in state.items() if key not in unused_keys}
    model.load_state_dict(weights | defaults, strict=False)
    return tuple(_remarks(sorted(unused_keys), sorted(defaults)))


def _remarks(unused_keys: list[str], defaults: list[str]) -> list[str]:
    remarks = []
    if unused_keys:
        remarks.append(
            "what the checkpoint holds for parts that the model does not have is left out "
            f"({len(unused_keys)}): {few(unused_keys)}"
        )
    if defaults:
        remarks.append(
            "statistics of frozen batch norms that the checkpoint lacks are taken as mean 0 and "
            f"variance 1, as by Detectron2 ({len(defaults)}): {few(defaults)}"
        )
    return remarks


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


def _is_of_absent_part(key: str, model: nn.Module) -> bool:
    """Return whether a weight belongs to a part that the model does not have.

    Such a part is a child of the model itself, of its heads or of its backbone. It is not another
    member of a numbered series, such as a further stage or block.
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
    """Return the statistics that Detectron2 assumes for frozen batch norms without any."""
    statistics: State = {}
    for name, layer in model.named_modules():
        if type(layer).__name__ == "FrozenBatchNorm2d":  # our own class and Detectron2's
            for key, fill in (("running_mean", 0.0), ("running_var", 1.0)):
                statistics[f"{name}.{key}"] = torch.full_like(getattr(layer, key), fill)
    return statistics
