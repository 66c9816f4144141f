from collections.abc import Callable, Sequence

from pipeline.image.resize import ModelInput
from pipeline.instances import Instances

Shape = tuple[int, int]


def padded_size(height: int, width: int, divisibility: int) -> Shape:
    """Return (height, width), each rounded up to a multiple of `divisibility`."""
    return -(-height // divisibility) * divisibility, -(-width // divisibility) * divisibility


def predict_by_shape(
    inputs: Sequence[ModelInput],
    divisibility: int,
    predict: Callable[[Sequence[ModelInput]], list[Instances]],
) -> list[Instances]:
    """Call `predict` once per padded size, and return the instances in the order of the inputs.

    Only inputs that are padded to the same size form a batch. Padding an image to the size of a
    larger one would change the pixels that convolutions read beyond its border, and so its result.
    """
    groups: dict[Shape, list[int]] = {}
    for index, model_input in enumerate(inputs):
        height, width = model_input.pixels.shape[:2]
        shape = padded_size(height, width, divisibility)
        groups.setdefault(shape, []).append(index)
    results: dict[int, Instances] = {}
    for indices in groups.values():
        batch = predict([inputs[i] for i in indices])
        results.update(zip(indices, batch, strict=True))
    return [results[i] for i in range(len(inputs))]
