from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import BrokenImage


@dataclass(frozen=True, slots=True)
class ModelInput:
    """An image in the form that an engine takes.

    `pixels` is (H, W, 3) uint8, already resized, with the channel order of the configuration
    (INPUT.FORMAT). `source_height` and `source_width` are the sides of the upright source image in
    pixels. `resize` is the resize that produced `pixels`, or None where it is not known.
    """

    pixels: NDArray[np.uint8]
    source_height: int
    source_width: int
    resize: "Resize | None" = None


@dataclass(frozen=True, slots=True)
class Resize:
    """A resize with the same pixels as Detectron2's `ResizeShortestEdge` at test time.

    shortest_edge: target length of the shorter side in pixels (INPUT.MIN_SIZE_TEST); 0 keeps the
    size. longest_edge: upper limit of the longer side in pixels (INPUT.MAX_SIZE_TEST).
    channel_order: channel order of the result (INPUT.FORMAT).
    """

    shortest_edge: int
    longest_edge: int
    channel_order: Literal["BGR", "RGB"]

    def __call__(self, image: NDArray[np.uint8]) -> ModelInput:
        """Return the model input of `image`, (H, W, 3) uint8 BGR, upright.

        Raise BrokenImage where a side would have no pixels after the resize.
        """
        height, width = image.shape[:2]
        size = self.output_size(height, width)
        if 0 in size:
            raise BrokenImage(
                "The image is too narrow for the model: resized to its input size, one side has no "
                "pixels. Crop the image."
            )
        if size != (height, width):
            # Pillow's bilinear filter averages pixels when it shrinks an image, as in training.
            resized = Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR)
            # The filter treats each channel alone, so the channels can be reordered afterwards.
            # Pillow takes `image` for RGB: its "BGR" is the reverse of the order that came in.
            raw_mode = "BGR" if self.channel_order == "RGB" else "RGB"
            pixels = np.frombuffer(resized.tobytes("raw", raw_mode), dtype=np.uint8)
            return ModelInput(pixels.reshape(*size, 3), height, width, self)
        if self.channel_order == "RGB":
            image = image[:, :, ::-1]
        return ModelInput(np.ascontiguousarray(image), height, width, self)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) after the resize, rounded half up as in Detectron2."""
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
