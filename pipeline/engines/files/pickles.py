"""Pickles opened without running anything that they name.

A pickle says which functions and classes to call. Here only those that make tensors, arrays and
plain containers are called; every other one becomes an Inert object, which keeps what the pickle
gave it. So a checkpoint can be read whose training objects are not installed here, and one that
was made to do harm does none.
"""

import _codecs
import collections
import io
import pickle  # nosec B403, see above
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import numpy as np
import torch

from pipeline.text import one_line

_REBUILD = (
    "_rebuild_tensor",
    "_rebuild_tensor_v2",
    "_rebuild_parameter",
    "_rebuild_parameter_with_state",
)


def _load_tensor_from_bytes(data: bytes) -> Any:
    """Return the tensor that the bytes hold. torch's own function would open any pickle."""
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


class Dtype:
    """A data type of a NumPy array: a code such as "f4", and in its state the order of bytes."""

    def __init__(self, code: object = "", *_: object) -> None:
        self.code = str(code)
        self.order = "<"

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">"):
            self.order = state[1]


class Array:
    """A NumPy array as its pickle describes it.

    NumPy itself would believe the description: of a few bytes it makes objects, and crashes.
    """

    def __init__(self, *_: object) -> None:
        self._parts: tuple[Any, ...] = ()

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) == 5:
            _, shape, dtype, is_fortran, data = state
            self._parts = (shape, dtype, "F" if is_fortran else "C", data)

    def tensor(self) -> torch.Tensor | None:
        """Return the array as a tensor; None unless it is of floating-point numbers, all there."""
        if not self._parts:
            return None
        shape, dtype, order, data = self._parts
        if not isinstance(dtype, Dtype) or dtype.code not in ("f2", "f4", "f8"):
            return None
        try:
            content = data.encode("latin1") if isinstance(data, str) else bytes(data)
            numbers = np.frombuffer(content, dtype.order + dtype.code)
            shaped = numbers.reshape(tuple(shape), order=order)
            return torch.from_numpy(shaped.astype(dtype.code))
        except (TypeError, ValueError):
            return None


def _array_from_buffer(data: Any, dtype: Any, shape: Any, order: Any, *_: object) -> Array:
    """Return an array as pickles of protocol 5 hold it."""
    array = Array()
    array.__setstate__((1, shape, dtype, order == "F", data))
    return array


CALLED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "bytearray"): bytearray,
    ("builtins", "complex"): complex,
    ("_codecs", "encode"): _codecs.encode,
    ("torch", "Size"): torch.Size,
    ("torch", "device"): torch.device,
    ("torch.nn.parameter", "Parameter"): torch.nn.Parameter,
    ("torch.storage", "_load_from_bytes"): _load_tensor_from_bytes,
    ("numpy", "ndarray"): Array,
    ("numpy", "dtype"): Dtype,
    **{("torch._utils", name): getattr(torch._utils, name) for name in _REBUILD},
    **{
        ("torch", str(dtype).removeprefix("torch.")): dtype
        for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64)
        + (torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool)
    },
    **{(f"numpy.{core}.multiarray", "_reconstruct"): Array for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _array_from_buffer for core in ("core", "_core")},
}


class Inert(dict[Any, Any]):
    """Stands for an object of a class that is not loaded: `name` is the class's, `state` its own.

    As a dict it holds the items of an object that was a mapping, such as a CfgNode.
    """

    name = ""
    dump_patches = False  # torch asks every class of a module for it

    state: Any = None

    def __init__(self, *_args: Any, **_items: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __call__(self, *_args: Any, **_items: Any) -> "Inert":
        return self

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def append(self, item: Any) -> None:
        """Drop an item of an object that was a list."""

    def extend(self, items: Any) -> None:
        """Drop items of an object that was a list."""


# The unpickler in Python: the one in C takes gigabytes where a few bytes name a large place in its
# memo, and checkpoints have too few steps for its speed to matter.
class Unpickler(pickle._Unpickler):  # type: ignore[misc,name-defined,unused-ignore]
    """Opens a pickle as described above."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        called = CALLED.get((module_name.replace("__builtin__", "builtins"), global_name))
        if called is not None:
            return called
        name = one_line(f"{module_name}.{global_name}", 100)
        return type("Inert", (Inert,), {"name": name})


def load(file: IO[bytes], **options: Any) -> Any:
    return Unpickler(file, **options).load()


# What torch.load asks of the module that it unpickles with.
_MODULE = SimpleNamespace(Unpickler=Unpickler, load=load, __name__="pipeline.engines.files.pickles")


def load_torch_file(path: Path) -> Any:
    """Return what torch.save wrote, on the CPU. Raises what unpickling a damaged file raises."""
    return torch.load(  # nosec B614, the pickle module above calls nothing
        path, map_location="cpu", weights_only=False, pickle_module=_MODULE
    )


def load_pickle(path: Path) -> Any:
    """Return what pickle.dump wrote. Raises what unpickling a damaged file raises."""
    with path.open("rb") as file:
        return load(file, encoding="latin1")
