from collections.abc import Callable, Sequence
from typing import Literal

from pipeline.engines.portable.eager import EagerRunner
from pipeline.engines.portable.maskrcnn import MaskRCNN
from pipeline.engines.portable.static.model import StaticMaskRCNN
from pipeline.engines.portable.static.programs import Program, captured, compiled
from pipeline.engines.portable.static.runner import StaticRunner
from pipeline.image.resize import ModelInput
from pipeline.instances import Instances

# How the host makes the device run a model. 'eager' drops as it goes; the others have fixed shapes.
# 'compiled' is by `torch.compile`, 'graphs' by CUDA graphs, for which a GPU is needed.
Execution = Literal["eager", "static", "compiled", "graphs", "compiled-graphs"]
Runner = Callable[[Sequence[ModelInput]], list[Instances]]


def build_runner(model: MaskRCNN, execution: Execution) -> Runner:
    """Return what runs the model on its device, for inputs of one padded size at a time."""
    eager = EagerRunner(model)
    if execution == "eager":
        return eager
    static = StaticMaskRCNN(model)
    return StaticRunner(static, build_program(static, execution), eager)


def build_program(static: StaticMaskRCNN, execution: Execution) -> Program:
    match execution:
        case "compiled":
            return compiled(static)
        case "graphs":
            return captured(static)
        case "compiled-graphs":
            return captured(compiled(static))
    return static
