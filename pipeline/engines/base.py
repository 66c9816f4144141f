from collections.abc import Sequence
from typing import Literal, Protocol

from pipeline.image.resize import ModelInput
from pipeline.instances import Instances

EngineName = Literal["auto", "portable", "openvino", "detectron2"]
Precision = Literal["float32", "bfloat16", "int8"]
DeviceName = Literal["auto", "cpu", "cuda"]


class Engine(Protocol):
    """A model that can be run. Stateless; safe to call from one thread at a time.

    `remarks` says, for the person who opened it, what of its files was accepted and not used.
    """

    name: str
    num_classes: int
    precision: Precision
    remarks: tuple[str, ...]

    def predict(self, inputs: Sequence[ModelInput]) -> list[Instances]:
        """Detect in each input. What else is in the batch does not change what is found; it may
        change the last digits, since layers sum in another order.
        """
        ...
