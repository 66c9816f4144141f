from collections.abc import Callable, Sequence

from pipeline.image.resize import ModelInput
from pipeline.instances import Instances

Shape = tuple[int, int]


def padded_size(height: int, width: int, divisibility: int) -> Shape:
    """The next (height, width) whose sides `divisibility` divides."""
    return -(-height // divisibility) * divisibility, -(-width // divisibility) * divisibility


def predict_by_shape(
    inputs: Sequence[ModelInput],
    divisibility: int,
    predict: Callable[[Sequence[ModelInput]], list[Instances]],
) -> list[Instances]:
    """Runs together only inputs that are padded to the same size, and keeps their order.

    Padding an image to the size of a larger neighbour would change what convolutions see beyond
    its border, and with it the answer; so an image's answer never depends on its batch.
    """
    groups: dict[Shape, list[int]] = {}
    for index, one in enumerate(inputs):
        shape = padded_size(one.pixels.shape[0], one.pixels.shape[1], divisibility)
        groups.setdefault(shape, []).append(index)
    answers: dict[int, Instances] = {}
    for indices in groups.values():
        found = predict([inputs[i] for i in indices])
        answers.update(zip(indices, found, strict=True))
    return [answers[i] for i in range(len(inputs))]
