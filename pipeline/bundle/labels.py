"""The translations of class labels that a bundle may hold."""

from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from pipeline.bundle.manifest import summary
from pipeline.errors import BundleError
from pipeline.model_info import LabelTranslations
from pipeline.text import few, quoted

_MAX_BYTES = 1_000_000


def read_labels(path: Path, class_names: Sequence[str]) -> LabelTranslations:
    """Return the translations in a YAML file: for each label its text by language.

    Raise BundleError, which says what is wrong, for a label that is no class of the model, too.
    """
    try:
        with path.open("rb") as file:
            content = yaml.safe_load(file.read(_MAX_BYTES))
        labels = TypeAdapter(LabelTranslations).validate_python(content, strict=True)
    except OSError as error:
        raise BundleError(f"{path.name} cannot be read: {error.strerror or error}") from error
    except yaml.YAMLError as error:
        raise BundleError(f"{path.name} is not YAML") from error
    except ValidationError as error:
        raise BundleError(
            f"{path.name} holds no translations, such as `HSIL: {{es: …, fr: …}}`: {summary(error)}"
        ) from error
    if unknown := [label for label in labels if label not in class_names]:
        raise BundleError(
            f"{path.name} translates {few(map(quoted, unknown))}, which the model does not have; "
            f"its classes are {few(map(quoted, class_names), 8)}"
        )
    return labels
