from typing import Protocol

from torch import Tensor

Features = dict[str, Tensor]
Prediction = tuple[Tensor, Tensor]


class Networks(Protocol):
    """The parts of a Mask R-CNN that are layers alone, without a decision between them.

    Nearly all of the arithmetic is here, and another runtime may do it. What is between them
    (proposals, suppression, pooling) is the engine's own, whoever runs the layers.
    """

    def dense(self, images: Tensor) -> tuple[Features, list[Prediction]]:
        """Backbone, pyramid and RPN head on a padded batch (N, 3, H, W), normalized.

        Returns the feature maps that the heads pool from, by name (N, C, h, w), and for each of
        the RPN's maps the logits (N, A) and deltas (N, A, 4) of its anchors, in float32.
        """
        ...

    def box(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """(R, C, P, P) -> class logits (R, K + 1) and box deltas (R, K * 4) or (R, 4), float32."""
        ...

    def mask(self, pooled: Tensor) -> Tensor:
        """(R, C, P, P) -> mask logits (R, K or 1, M, M), float32."""
        ...
