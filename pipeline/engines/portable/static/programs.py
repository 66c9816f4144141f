from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.engines.memory import is_out_of_memory
from pipeline.engines.portable.static.model import Output

# The arguments of `StaticMaskRCNN`, and its result.
Program = Callable[[Tensor, Tensor], Output]
Builder = Callable[[Tensor, Tensor], Program]

# Padded sizes and batch sizes for which a program is kept. The cameras of a clinic give few sizes.
MOST_SHAPES = 16


class ProgramPerShape:
    """A program that is built anew for each shape of its input, and kept for the next such input.

    build: returns the program for inputs of the shapes of its arguments. most: programs that are
    kept; the one that was not used for the longest time is dropped. Where memory runs out, all are
    dropped, since a captured program holds the memory of its intermediate results.
    """

    def __init__(self, build: Builder, most: int = MOST_SHAPES) -> None:
        self._build = build
        self._most = most
        self._programs: dict[torch.Size, Program] = {}

    def __call__(self, pixels: Tensor, sizes: Tensor) -> Output:
        program = self._programs.pop(pixels.shape, None)
        if program is None:
            program = self._built(pixels, sizes)
        self._programs[pixels.shape] = program
        return program(pixels, sizes)

    def _built(self, pixels: Tensor, sizes: Tensor) -> Program:
        if len(self._programs) == self._most:
            del self._programs[next(iter(self._programs))]
        try:
            return self._build(pixels, sizes)
        except RuntimeError as error:
            if not (self._programs and is_out_of_memory(error)):
                raise
        self._programs.clear()
        return self._build(pixels, sizes)


class CapturedProgram:
    """A program captured in a CUDA graph: the host starts all of its kernels with one call.

    pool: the memory that captured programs share. Only one runs at a time, and its output is valid
    until the next one runs.
    """

    _WARM_UPS = 3

    def __init__(
        self, program: Program, pool: "torch.cuda._POOL_HANDLE", pixels: Tensor, sizes: Tensor
    ) -> None:
        self._inputs = pixels.clone(), sizes.clone()
        # Libraries allocate and choose algorithms in their first runs, which no graph can hold.
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(self._WARM_UPS):
                program(*self._inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        # Other threads of the process may use the GPU meanwhile.
        with torch.cuda.graph(self._graph, pool=pool, capture_error_mode="thread_local"):
            self._output = program(*self._inputs)

    def __call__(self, pixels: Tensor, sizes: Tensor) -> Output:
        for kept, given in zip(self._inputs, (pixels, sizes), strict=True):
            kept.copy_(given, non_blocking=True)
        self._graph.replay()
        return self._output


def captured(program: Program) -> Program:
    """Return the program captured in a CUDA graph for each shape of its input."""
    pool = torch.cuda.graph_pool_handle()

    def build(pixels: Tensor, sizes: Tensor) -> Program:
        return CapturedProgram(program, pool, pixels, sizes)

    return ProgramPerShape(build)
