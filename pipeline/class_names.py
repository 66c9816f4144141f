from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from pipeline.errors import BundleError
from pipeline.schema import Label
from pipeline.text import few, quoted

_LABEL = TypeAdapter(Label)


def check_class_names(names: Sequence[str]) -> None:
    """Raise BundleError unless the names are distinct, of one line and at most 200 characters."""
    if not names:
        raise BundleError("no class name was given")
    for number, name in enumerate(names, 1):
        if not name.strip():
            raise BundleError(f"class name {number} of {len(names)} is empty")
        try:
            _LABEL.validate_python(name)
        except ValidationError as error:
            raise BundleError(
                f"class name {number} is not one line of at most 200 characters: {quoted(name)}"
            ) from error
        if name in names[: number - 1]:
            first = list(names).index(name) + 1
            raise BundleError(
                f"class names {first} and {number} are both {quoted(name)}; they must be distinct. "
                "If one is the dataset's root class, which no lesion has, give it another name"
            )


def count_mismatch(num_classes: int, names: Sequence[str]) -> str:
    """Return the message for a model with `num_classes` classes and another number of names."""
    hint = ""
    if len(names) == num_classes + 1:
        hint = ". If one of them is the dataset's root or background class, leave it out"
    elif len(names) == num_classes - 1:
        hint = (
            ". If the training counted a root class of the dataset (exports of Roboflow begin "
            "with one), name that, too"
        )
    quotes = few([quoted(name, 40) for name in names], 8)
    return f"the model has {num_classes} classes, but {len(names)} names were given: {quotes}{hint}"
