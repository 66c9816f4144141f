from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pipeline.preprocess import Resize

EngineName = Literal["auto", "portable", "openvino", "detectron2"]
Precision = Literal["float32", "bfloat16", "int8"]
DeviceName = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, slots=True)
class ModelInput:
    """One image as the network takes it.

    `pixels` is (H, W, 3) uint8, already resized, channels in the order the configuration
    names (INPUT.FORMAT). `source_height` and `source_width` are those of the upright source.
    `resize` made it; None where that is not known.
    """

    pixels: NDArray[np.uint8]
    source_height: int
    source_width: int
    resize: "Resize | None" = None


@dataclass(frozen=True, slots=True)
class Instances:
    """What the network found in one image, sorted by falling score, on the host.

    boxes: (N, 4) float32, XYXY in pixels of the model input (not yet of the source image).
    scores: (N,) float32 in 0..1.
    classes: (N,) int64, 0-based.
    masks: (N, M, M) float32 foreground probabilities within each box, or None without masks.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    masks: NDArray[np.float32] | None

    def __len__(self) -> int:
        return len(self.scores)


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


@dataclass(frozen=True, slots=True)
class MaskCrop:
    """A binary mask that covers only its box.

    `pixels` is (h, w) bool; its top left pixel lies at column `x`, row `y` of the source image.
    """

    x: int
    y: int
    pixels: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Lesion:
    """One instance in source pixels. `box` is XYXY, clipped to the image."""

    class_id: int
    label: str
    score: float
    box: tuple[float, float, float, float]
    mask: MaskCrop | None
