"""Test which programs are kept. tests/parity tests what is captured, where there is a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor

from pipeline.engines.portable.static.model import Output
from pipeline.engines.portable.static.programs import (
    CapturedProgram,
    Program,
    ProgramPerShape,
)

Shape = tuple[int, ...]


class Builder:
    """A builder of programs that remembers what was built and what was run."""

    def __init__(self, errors: list[Exception] | None = None) -> None:
        self.errors = errors or []
        self.built: list[Shape] = []
        self.run: list[tuple[Shape, int]] = []

    def __call__(self, pixels: Tensor, sizes: Tensor) -> Program:
        number, shape = len(self.built), tuple(pixels.shape)
        self.built.append(shape)
        if self.errors:
            raise self.errors.pop(0)

        def program(pixels: Tensor, sizes: Tensor) -> Output:
            assert tuple(pixels.shape) == shape
            self.run.append((shape, number))
            return Output(None, [], [pixels], torch.zeros(0))

        return program


def call(cache: ProgramPerShape, *shape: int) -> None:
    cache(torch.zeros(shape), torch.zeros(shape[0], 2))


def test_program_is_built_once_for_each_shape() -> None:
    builder = Builder()
    cache = ProgramPerShape(builder)
    for shape in ((1, 32, 64), (2, 32, 64), (1, 32, 64), (1, 64, 32), (2, 32, 64)):
        call(cache, *shape)
    assert builder.built == [(1, 32, 64), (2, 32, 64), (1, 64, 32)]
    assert [number for _, number in builder.run] == [0, 1, 0, 2, 1]


def test_program_that_was_not_used_longest_is_dropped() -> None:
    builder = Builder()
    cache = ProgramPerShape(builder, most=2)
    for count in (1, 2, 1, 3, 1, 2):
        call(cache, count)
    assert builder.built == [(1,), (2,), (3,), (2,)]


def out_of_memory() -> RuntimeError:
    """Return the error with which a capture ends that ran out of memory."""
    try:
        try:
            raise torch.OutOfMemoryError("CUDA out of memory")
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")
    except RuntimeError as error:
        return error


def test_all_programs_are_dropped_where_memory_runs_out() -> None:
    builder = Builder()
    cache = ProgramPerShape(builder)
    call(cache, 1)
    builder.errors = [out_of_memory()]
    call(cache, 2)
    call(cache, 1)
    assert builder.built == [(1,), (2,), (2,), (1,)]


def test_lack_of_memory_is_an_error_where_nothing_can_be_dropped() -> None:
    builder = Builder([out_of_memory(), out_of_memory()])
    cache = ProgramPerShape(builder)
    with pytest.raises(RuntimeError, match="previous error during capture"):
        call(cache, 1)
    assert builder.built == [(1,)]


def test_other_error_of_builder_drops_no_program() -> None:
    builder = Builder()
    cache = ProgramPerShape(builder)
    call(cache, 1)
    builder.errors = [RuntimeError("no kernel for this GPU")]
    with pytest.raises(RuntimeError, match="no kernel"):
        call(cache, 2)
    call(cache, 1)
    assert builder.built == [(1,), (2,)]


class Sum:
    """A program that remembers its inputs and its output."""

    def __init__(self) -> None:
        self.inputs: list[tuple[Tensor, Tensor]] = []
        self.output: Output | None = None

    def __call__(self, pixels: Tensor, sizes: Tensor) -> Output:
        self.inputs.append((pixels, sizes))
        self.output = Output(None, [], [pixels + sizes], torch.zeros(0))
        return self.output


def test_captured_program_runs_again_on_new_values(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Sum()

    class Graph:
        """A CUDA graph: it computes from captured inputs into a captured output."""

        def replay(self) -> None:
            pixels, sizes = program.inputs[-1]
            program.output.maps[0].copy_(pixels + sizes)

    @contextmanager
    def capture(graph: Graph, pool: object, capture_error_mode: str) -> Iterator[None]:
        assert (pool, capture_error_mode) == ("pool", "thread_local")
        yield

    for name, fake in (
        ("Stream", Mock),
        ("current_stream", Mock),
        ("stream", lambda _: nullcontext()),
        ("CUDAGraph", Graph),
        ("graph", capture),
    ):
        monkeypatch.setattr(torch.cuda, name, fake)
    captured_program = CapturedProgram(program, "pool", torch.ones(3), torch.ones(3))
    runs = len(program.inputs)
    values = [torch.tensor([1.0, 2, 3]), torch.tensor([10.0, 20, 30])]
    assert captured_program(*values).maps[0].tolist() == [11, 22, 33]
    assert captured_program(*reversed(values)).maps[0].tolist() == [11, 22, 33]
    assert captured_program(values[0], values[0]).maps[0].tolist() == [2, 4, 6]
    assert values[1].tolist() == [10, 20, 30]
    assert len(program.inputs) == runs  # the graph runs instead
    assert runs > 1  # warm-ups come before the capture
