"""The validation images from which a bundle's reference profile is made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from pipeline.bundle.annotated_images import AnnotatedImages
from pipeline.bundle.annotated_prediction import predict_annotated
from pipeline.bundle.manifest import summary
from pipeline.errors import BundleError, ImageError
from pipeline.image.gradability import QualityLimits
from pipeline.predictor import Answer, LesionPredictor
from pipeline.schemas import PredictOptions

Show = Callable[[str], None]

_OPTIONS = PredictOptions(masks="none", visualization="none")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp")
_MAX_LIMITS_BYTES = 100_000


@dataclass(frozen=True)
class Validation:
    """What a profile is made from.

    images: the folder of the images. annotations: a COCO file that names those that count; None for
    all image files in the folder and below. limits: those of a gradable image; None for those that
    follow from the images.
    """

    images: Path
    annotations: Path | None = None
    limits: QualityLimits | None = None


def read_limits(path: Path) -> QualityLimits:
    """Return the limits in a YAML or JSON file. Raise BundleError, which says what is wrong."""
    try:
        with path.open("rb") as file:
            content = yaml.safe_load(file.read(_MAX_LIMITS_BYTES))
        limits: QualityLimits = TypeAdapter(QualityLimits).validate_python(content)
    except OSError as error:
        raise BundleError(f"{path.name} cannot be read: {error.strerror or error}") from error
    except yaml.YAMLError as error:
        raise BundleError(f"{path.name} is not YAML") from error
    except ValidationError as error:
        raise BundleError(f"{path.name} holds no limits of quality: {summary(error)}") from error
    return limits


def find_images(folder: Path) -> list[Path]:
    """Return the image files in the folder and below, by name. Raise BundleError for none."""
    paths = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file()
    )
    if not paths:
        raise BundleError(f"{folder} holds no image file ({', '.join(_SUFFIXES)})")
    return paths


def answer_images(predictor: LesionPredictor, paths: Sequence[Path], show: Show) -> list[Answer]:
    """Return the answers on image files. Raise BundleError, which names a file without one."""
    answers = []
    for number, path in enumerate(paths, 1):
        show(f"profile: image {number} of {len(paths)}")
        try:
            answers.append(predictor.answer(path.read_bytes(), _OPTIONS))
        except ImageError as error:
            raise BundleError(f"{path.name}: {error}") from error
        except OSError as error:
            raise BundleError(f"{path.name}: {error.strerror or error}") from error
    return answers


def answer_annotated(
    predictor: LesionPredictor, annotated: AnnotatedImages, show: Show
) -> list[Answer]:
    """Return the answers on annotated images. Raise AnnotationError."""
    answers = []
    for number, image in enumerate(annotated.images, 1):
        show(f"profile: image {number} of {len(annotated.images)}")
        answers.append(predict_annotated(predictor, image, annotated.read(image)))
    return answers
