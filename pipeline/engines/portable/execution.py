from typing import Literal

from pipeline.engines.portable.eager import EagerRunner
from pipeline.engines.portable.frequent import FrequentShapes, Runner
from pipeline.engines.portable.maskrcnn import MaskRCNN
from pipeline.engines.portable.static.model import StaticMaskRCNN
from pipeline.engines.portable.static.programs import MOST_SHAPES, captured
from pipeline.engines.portable.static.runner import StaticRunner

# How the host makes the device run a model. 'eager' drops as it goes; the others have fixed shapes.
# 'graphs' is by CUDA graphs, for which a GPU is needed, and 'frequent-graphs' by these for shapes
# that come often, and eagerly for others.
Execution = Literal["eager", "static", "graphs", "frequent-graphs"]


def build_runner(model: MaskRCNN, execution: Execution) -> Runner:
    """Return what runs the model on its device, for inputs of one padded size at a time."""
    eager = EagerRunner(model)
    if execution == "eager":
        return eager
    if execution == "frequent-graphs":
        graphs = build_runner(model, "graphs")
        return FrequentShapes(eager, graphs, model.backbone.size_divisibility, MOST_SHAPES)
    static = StaticMaskRCNN(model)
    program = captured(static) if execution == "graphs" else static
    return StaticRunner(static, program, eager)
