import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.engines.batches import padded_size
from pipeline.engines.memory import is_out_of_memory
from pipeline.image.resize import ModelInput
from pipeline.instances import Instances

LOG = logging.getLogger(__name__)

# A capture takes about a second, so it has to serve many batches.
USES = 100
MOST_COUNTED = 1024

# What two ways of running one model may differ by, since they round in another order, which is seen
# most in bfloat16: pixels of the model input, probabilities, and a share of the embedding's length.
BOX_TOLERANCE = 1.0
SCORE_TOLERANCE = 0.02
MASK_TOLERANCE = 0.1
EMBEDDING_TOLERANCE = 0.02

Runner = Callable[[Sequence[ModelInput]], list[Instances]]
Shape = tuple[int, int, int]


class FrequentShapes:
    """Run batches by one runner, and those of shapes that come often by a faster one.

    usual: runs every shape at once. fast: has to be prepared for each shape. It is used for a shape
    from the `uses`th batch on, and only after it gave for that batch what the usual one gives.
    divisibility: of padded sizes. most: shapes for which `fast` stays prepared; it drops the one
    that was not used for the longest time, and that shape has to come often again.
    """

    def __init__(
        self, usual: Runner, fast: Runner, divisibility: int, most: int, uses: int = USES
    ) -> None:
        self.usual = usual
        self.fast = fast
        self._divisibility = divisibility
        self._most = most
        self._uses = uses
        self._counts: OrderedDict[Shape, int] = OrderedDict()
        self._prepared: OrderedDict[Shape, None] = OrderedDict()

    def __call__(self, inputs: Sequence[ModelInput]) -> list[Instances]:
        """Return the instances in inputs of one padded size."""
        shape = self._shape(inputs)
        if shape in self._prepared:
            self._prepared.move_to_end(shape)
            return self.fast(inputs)
        results = self.usual(inputs)
        if self._is_frequent(shape):
            self._prepare(shape, inputs, results)
        return results

    def _shape(self, inputs: Sequence[ModelInput]) -> Shape:
        height, width = inputs[0].pixels.shape[:2]
        return len(inputs), *padded_size(height, width, self._divisibility)

    def _is_frequent(self, shape: Shape) -> bool:
        """Count a use of the shape. Return whether it is the last of `uses`."""
        count = self._counts.pop(shape, 0) + 1
        if count == self._uses:
            return True
        self._counts[shape] = count
        if len(self._counts) > MOST_COUNTED:
            self._counts.popitem(last=False)
        return False

    def _prepare(
        self, shape: Shape, inputs: Sequence[ModelInput], expected: Sequence[Instances]
    ) -> None:
        """Use `fast` for the shape from now on, if it gives what is expected."""
        try:
            results = self.fast(inputs)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            LOG.warning("No memory to run batches of shape %s faster: they run as before", shape)
            self._prepared.clear()  # `fast` dropped all shapes
            return
        if not all(map(agree, expected, results)):
            LOG.warning("The faster way gives other instances for batches of shape %s", shape)
            return
        self._prepared[shape] = None
        if len(self._prepared) > self._most:
            self._prepared.popitem(last=False)


def agree(left: Instances, right: Instances) -> bool:
    """Return whether two results for one image are equal but for rounding."""
    if not np.array_equal(left.classes, right.classes):
        return False
    return (
        _differ_by_at_most(SCORE_TOLERANCE, left.scores, right.scores)
        and _differ_by_at_most(BOX_TOLERANCE, left.boxes, right.boxes)
        and _differ_by_at_most(MASK_TOLERANCE, left.masks, right.masks)
        and _differ_by_at_most(_embedding_tolerance(left), left.embedding, right.embedding)
    )


def _differ_by_at_most(
    tolerance: float, left: NDArray[np.float32] | None, right: NDArray[np.float32] | None
) -> bool:
    if left is None or right is None:
        return left is right
    return bool(np.allclose(left, right, rtol=0, atol=tolerance))


def _embedding_tolerance(instances: Instances) -> float:
    embedding = instances.embedding
    return 0.0 if embedding is None else EMBEDDING_TOLERANCE * float(np.linalg.norm(embedding))
