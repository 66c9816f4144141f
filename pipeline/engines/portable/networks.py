from typing import Protocol

from torch import Tensor

Features = dict[str, Tensor]
Prediction = tuple[Tensor, Tensor]


class Networks(Protocol):
    """The three networks of a Mask R-CNN, which consist of layers only.

    They hold nearly all of the arithmetic, and any runtime may run them. The steps between them
    (proposals, non-maximum suppression, pooling) are those of the portable engine in any case.
    """

    def dense(self, images: Tensor) -> tuple[Features, list[Prediction]]:
        """Run backbone, pyramid and RPN head on a normalized, padded batch (N, 3, H, W).

        Return the feature maps (N, C, h, w) that the heads pool from, by name; and for each feature
        map of the RPN the logits (N, A) and deltas (N, A, 4) of its anchors, in float32.
        """
        ...

    def box(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Run the box head on pooled features (R, C, P, P).

        Return class logits (R, K + 1) and box deltas (R, K * 4) or, class-agnostic, (R, 4), in
        float32.
        """
        ...

    def mask(self, pooled: Tensor) -> Tensor:
        """Run the mask head on pooled features (R, C, P, P).

        Return mask logits (R, K, M, M) or, class-agnostic, (R, 1, M, M), in float32.
        """
        ...
