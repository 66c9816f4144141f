from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.engines.cell_anchors import cell_anchors


class AnchorGenerator(nn.Module):
    """A generator of anchors for every position of every feature map (Faster R-CNN).

    sizes, aspect_ratios: a list of values for each feature map. strides: pixels between positions.
    offset: distance of the first anchor's centre from the image's top left corner, in strides.
    Every feature map has the same number of anchors per position, `per_position`.
    """

    def __init__(
        self,
        sizes: Sequence[Sequence[float]],
        aspect_ratios: Sequence[Sequence[float]],
        strides: Sequence[int],
        offset: float,
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.offset = offset
        self.per_position = len(sizes[0]) * len(aspect_ratios[0])
        for level, (level_sizes, level_ratios) in enumerate(zip(sizes, aspect_ratios, strict=True)):
            anchors = torch.from_numpy(cell_anchors(level_sizes, level_ratios))
            self.register_buffer(f"cell_anchors_{level}", anchors, persistent=False)

    def forward(self, input_size: tuple[int, int]) -> list[Tensor]:
        """Return the (h * w * A, 4) XYXY anchors of each feature map, in input pixels.

        input_size: (height, width) of the network's input.
        """
        return [
            self.grid_anchors(
                self.get_buffer(f"cell_anchors_{level}"),
                # The size of each feature map is rounded up, as by convolutions and pooling.
                (-(-input_size[0] // stride), -(-input_size[1] // stride)),
                stride,
            )
            for level, stride in enumerate(self.strides)
        ]

    def grid_anchors(self, anchors: Tensor, size: tuple[int, int], stride: int) -> Tensor:
        # The end of the range is that of the grid, so rounding of the offset adds no position.
        y, x = (
            torch.arange(
                self.offset * stride, n * stride, stride, dtype=anchors.dtype, device=anchors.device
            )
            for n in size
        )
        shift_y, shift_x = (grid.reshape(-1) for grid in torch.meshgrid(y, x, indexing="ij"))
        shifts = torch.stack((shift_x, shift_y, shift_x, shift_y), dim=1)
        return (shifts[:, None] + anchors).reshape(-1, 4)
