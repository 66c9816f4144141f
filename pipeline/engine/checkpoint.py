import pickle  # nosec B403, see below
import re
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.errors import CheckpointMismatch, ModelError

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
    IndexError,
    KeyError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


def read_checkpoint(path: Path, *, trust_pickle: bool = False) -> State:
    """Reads a checkpoint's weights onto the CPU, without anything of the training.

    Takes `{'model': state}` and bare state dicts, of any floating dtype, from files of
    `torch.save`. What can run code when it is opened, such as a model zoo `.pkl`, is opened only
    with `trust_pickle`.
    Raises ModelError where the file cannot be read, CheckpointMismatch where it holds no weights.
    """
    is_pickle = path.suffix.lower() == ".pkl"
    content = _read_pickle(path, trust_pickle) if is_pickle else _read_torch(path, trust_pickle)
    state = content.get("model", content) if isinstance(content, Mapping) else content
    if not isinstance(state, Mapping):
        raise CheckpointMismatch(f"{path.name} holds a {type(state).__name__}, not a state dict")
    return _clean(state, path.name)


def _read_torch(path: Path, trusted: bool) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch comments on files that it then refuses
            return torch.load(path, map_location="cpu", weights_only=not trusted)  # nosec B614
    except OSError as error:
        raise ModelError(f"cannot read {path.name}: {error.strerror}") from error
    except UNPICKLING_ERRORS as error:
        raise ModelError(f"{path.name} {_why_refused(str(error))}") from error


def _why_refused(reason: str) -> str:
    # torch's own text advises to open the file without safety.
    if foreign := re.search(r"GLOBAL (\S+)", reason):
        return (
            f"holds {foreign[1]} beside plain tensors, which could run code when it is opened. If "
            "you trust where it came from, convert it once with `lesionserve pack --trust-pickle`"
        )
    return "is damaged, or not a checkpoint that torch.save wrote"


def _read_pickle(path: Path, trusted: bool) -> Any:
    if not trusted:
        raise ModelError(
            f"{path.name} is a pickle, which can run any code when it is opened. If you trust "
            "where it came from, convert it once with `lesionserve pack --trust-pickle`"
        )
    try:
        with path.open("rb") as file:
            return pickle.load(file, encoding="latin1")  # nosec B301, asked for
    except OSError as error:
        raise ModelError(f"cannot read {path.name}: {error.strerror}") from error
    except UNPICKLING_ERRORS as error:
        raise ModelError(f"{path.name} is damaged, or no pickle: {error}") from error


def _clean(state: Mapping[str, Any], name: str) -> State:
    prefix = "module." if state and all(str(key).startswith("module.") for key in state) else ""
    weights: State = {}
    for key, value in state.items():
        key = str(key).removeprefix(prefix)
        if not is_ignored(key):
            weights[key] = _to_tensor(value, f"{name}: {key}")
    return weights


def _to_tensor(value: Any, name: str) -> Tensor:
    is_numbers = isinstance(value, np.ndarray) and value.dtype.kind == "f"
    tensor = torch.from_numpy(value) if is_numbers else value
    if not isinstance(tensor, Tensor):
        raise CheckpointMismatch(f"{name} is a {type(value).__name__}, not a tensor")
    if tensor.layout is not torch.strided or tensor.is_meta or not tensor.is_floating_point():
        raise CheckpointMismatch(f"{name} is no dense tensor of floating-point numbers")
    if not bool(tensor.isfinite().all()):
        raise CheckpointMismatch(f"{name} holds values that are not finite; the training diverged")
    return tensor


def is_ignored(key: str) -> bool:
    return key.endswith(IGNORED_SUFFIXES) or any(part in key for part in IGNORED_PARTS)


def load_strictly(model: nn.Module, state: State) -> None:
    """Copies the weights in; every name and shape must match.

    Raises CheckpointMismatch, which lists what is missing, unexpected and mis-shaped.
    """
    expected = {key: value for key, value in model.state_dict().items() if not is_ignored(key)}
    missing = [key for key in expected if key not in state]
    unexpected = [key for key in state if key not in expected]
    misshaped = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if key in state and state[key].shape != tensor.shape
    ]
    found = {"missing": missing, "unexpected": unexpected, "mis-shaped": misshaped}
    problems = [
        f"{len(names)} {what}: {', '.join(names)}" for what, names in found.items() if names
    ]
    if problems:
        raise CheckpointMismatch(
            f"the checkpoint does not fit the configuration; {'; '.join(problems)}"
        )
    # Not strict a second time: a model of Detectron2's own has the ignored keys.
    model.load_state_dict(state, strict=False)
