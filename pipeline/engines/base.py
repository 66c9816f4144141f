from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:  # the names below are options of commands, which need no NumPy
    from pipeline.image.resize import ModelInput
    from pipeline.instances import Instances

EngineName = Literal["auto", "portable", "openvino", "detectron2"]
Precision = Literal["float32", "bfloat16", "int8"]
# What may be asked for: `auto` is the one that was chosen when the bundle was packed.
AskedPrecision = Literal["auto", "float32", "bfloat16", "int8"]
DeviceName = Literal["auto", "cpu", "cuda"]


class Engine(Protocol):
    """A model that can be run. It has no state.

    `max_threads` is how many threads may call it at once. `remarks` tells the person who opens the
    model which parts of its files are not used.
    """

    name: str
    num_classes: int
    precision: Precision
    max_threads: int
    remarks: tuple[str, ...]

    def predict(self, inputs: "Sequence[ModelInput]") -> "list[Instances]":
        """Return the instances in each input, in the order of the inputs.

        Each holds the embedding of its input. The other inputs of a batch do not change which
        instances are found. They may change the last digits, since layers then sum in another
        order. Raise OutOfMemory where the device has
        no memory for the batch.
        """
        ...

    def fingerprint(self) -> str:
        """Return a SHA-256 (hex) that changes when the model's weights in memory change.

        It is that of the parameters, or, where a runtime keeps them to itself, of its answers to
        fixed inputs. Only values of one engine object are comparable: threads and processors may
        change the last digits of an answer.
        """
        ...
