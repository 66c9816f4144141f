"""Test which programs are kept. tests/parity tests what is captured, where there is a GPU."""

import pytest
import torch
from torch import Tensor

from pipeline.engines.portable.static.model import Output
from pipeline.engines.portable.static.programs import Program, ProgramPerShape

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
            return Output(None, [], [pixels])

        return program


def call(programs: ProgramPerShape, *shape: int) -> None:
    programs(torch.zeros(shape), torch.zeros(shape[0], 2))


def test_program_is_built_once_for_each_shape() -> None:
    builder = Builder()
    programs = ProgramPerShape(builder)
    for shape in ((1, 32, 64), (2, 32, 64), (1, 32, 64), (1, 64, 32), (2, 32, 64)):
        call(programs, *shape)
    assert builder.built == [(1, 32, 64), (2, 32, 64), (1, 64, 32)]
    assert [number for _, number in builder.run] == [0, 1, 0, 2, 1]


def test_program_that_was_not_used_longest_is_dropped() -> None:
    builder = Builder()
    programs = ProgramPerShape(builder, most=2)
    for count in (1, 2, 1, 3, 1, 2):
        call(programs, count)
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
    programs = ProgramPerShape(builder)
    call(programs, 1)
    builder.errors = [out_of_memory()]
    call(programs, 2)
    call(programs, 1)
    assert builder.built == [(1,), (2,), (2,), (1,)]


def test_lack_of_memory_is_an_error_where_nothing_can_be_dropped() -> None:
    builder = Builder([out_of_memory(), out_of_memory()])
    programs = ProgramPerShape(builder)
    with pytest.raises(RuntimeError, match="previous error during capture"):
        call(programs, 1)
    assert builder.built == [(1,)]


def test_other_error_of_builder_drops_no_program() -> None:
    builder = Builder()
    programs = ProgramPerShape(builder)
    call(programs, 1)
    builder.errors = [RuntimeError("no kernel for this GPU")]
    with pytest.raises(RuntimeError, match="no kernel"):
        call(programs, 2)
    call(programs, 1)
    assert builder.built == [(1,), (2,)]
