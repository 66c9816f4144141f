from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import BrokenImage


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
class Resize:
    """Detectron2's `ResizeShortestEdge` at test time, to the pixel.

    shortest_edge: wanted length of the shorter side in pixels (INPUT.MIN_SIZE_TEST), 0 keeps the
    size. longest_edge: the longer side's limit (MAX_SIZE_TEST). channel_order: of the output
    (INPUT.FORMAT).
    """

    shortest_edge: int
    longest_edge: int
    channel_order: Literal["BGR", "RGB"]

    def __call__(self, image: NDArray[np.uint8]) -> ModelInput:
        """image: (H, W, 3) uint8 BGR, upright. Raises BrokenImage for a strip that vanishes."""
        height, width = image.shape[:2]
        size = self.output_size(height, width)
        if 0 in size:
            raise BrokenImage("The image is too narrow for the model's input size.")
        if size != (height, width):
            # Pillow's bilinear filter averages when it shrinks, and so did the training.
            resized = Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR)
            # It takes each channel for itself, so they may be turned on the way out.
            turned = "BGR" if self.channel_order == "RGB" else "RGB"
            pixels = np.frombuffer(resized.tobytes("raw", turned), dtype=np.uint8)
            return ModelInput(pixels.reshape(*size, 3), height, width, self)
        if self.channel_order == "RGB":
            image = image[:, :, ::-1]
        return ModelInput(np.ascontiguousarray(image), height, width, self)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) after the resize; rounds as Detectron2 does, half up."""
        if self.shortest_edge == 0:
            return height, width
        scale = self.shortest_edge * 1.0 / min(height, width)
        if height < width:
            new_height, new_width = float(self.shortest_edge), scale * width
        else:
            new_height, new_width = scale * height, float(self.shortest_edge)
        longest = max(new_height, new_width)
        if longest > self.longest_edge:
            shrink = self.longest_edge * 1.0 / longest
            new_height, new_width = new_height * shrink, new_width * shrink
        return int(new_height + 0.5), int(new_width + 0.5)
