"""Open pickles without running code that they name.

A pickle names the functions and classes to call. Here only those that create tensors, arrays and
plain containers are called; every other one becomes an Inert object, which keeps its state. So a
checkpoint can be read whose training classes are not installed, and a malicious one does no harm.
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
    """Return the tensor in the bytes. torch's function of this name would open any pickle."""
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


class Dtype:
    """The dtype of a pickled NumPy array: a code such as "f4", and a byte order."""

    def __init__(self, code: object = "", *_: object) -> None:
        self.code = str(code)
        self.order = "<"

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">"):
            self.order = state[1]


class Array:
    """A pickled NumPy array, as its pickle describes it.

    NumPy itself trusts the description: it would make Python objects of arbitrary bytes, and crash.
    """

    def __init__(self, *_: object) -> None:
        self._parts: tuple[Any, ...] = ()

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) == 5:
            _, shape, dtype, is_fortran, data = state
            self._parts = (shape, dtype, "F" if is_fortran else "C", data)

    def tensor(self) -> torch.Tensor | None:
        """Return the array as a tensor; None unless it holds floating-point numbers completely."""
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
    """Return the array that a pickle of protocol 5 describes."""
    array = Array()
    array.__setstate__((1, shape, dtype, order == "F", data))
    return array


# What is called for each module and name that a pickle may name.
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
    """A stand-in for an object whose class is not loaded.

    `name` is the name of the class, `state` the state of the object. As a dict it holds the items
    of an object that was a mapping, such as a CfgNode.
    """

    name = ""
    dump_patches = False  # torch reads this attribute of every class of a module

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
        """Ignore an item of an object that was a list."""

    def extend(self, items: Any) -> None:
        """Ignore items of an object that was a list."""


# The base is the unpickler in Python. The one in C allocates gigabytes where a few bytes name a
# high index of its memo. Checkpoints have too few steps for the speed to matter.
class Unpickler(pickle._Unpickler):  # type: ignore[misc,name-defined,unused-ignore]
    """An unpickler that calls only the functions and classes in `CALLED`."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        function = CALLED.get((module_name.replace("__builtin__", "builtins"), global_name))
        if function is not None:
            return function
        name = one_line(f"{module_name}.{global_name}", 100)
        return type("Inert", (Inert,), {"name": name})


def load(file: IO[bytes], **options: Any) -> Any:
    return Unpickler(file, **options).load()


# The attributes that torch.load uses of its `pickle_module`.
_MODULE = SimpleNamespace(Unpickler=Unpickler, load=load, __name__="pipeline.engines.files.pickles")


def load_torch_file(path: Path) -> Any:
    """Return the content of a file of torch.save, on the CPU.

    A damaged file raises one of `checkpoint.UNPICKLING_ERRORS`.
    """
    return torch.load(  # nosec B614, the pickle module above calls no foreign code
        path, map_location="cpu", weights_only=False, pickle_module=_MODULE
    )


def load_pickle(path: Path) -> Any:
    """Return the content of a file of pickle.dump.

    A damaged file raises one of `checkpoint.UNPICKLING_ERRORS`.
    """
    with path.open("rb") as file:
        return load(file, encoding="latin1")
