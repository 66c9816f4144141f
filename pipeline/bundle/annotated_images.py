"""Annotated images in COCO's format, on which the accuracy of a bundle is measured."""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.bundle.coco_rle import checked_rle, polygons_to_rle
from pipeline.bundle.manifest import summary
from pipeline.errors import AnnotationError
from pipeline.text import counted, few, quoted

# Below these, an interval of the loss says more than the images do.
MIN_IMAGES = 30
MIN_IMAGES_OF_CLASS = 10


class _Part(BaseModel):
    """A part of the file. Tools add keys of their own, which are ignored."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class CocoImage(_Part):
    id: int
    file_name: str = Field(min_length=1)
    width: int = Field(ge=1)
    height: int = Field(ge=1)


class _Runs(_Part):
    size: tuple[int, int]
    counts: str | list[int]


_Side = Annotated[float, Field(gt=0)]


class _Annotation(_Part):
    image_id: int
    category_id: int
    bbox: tuple[float, float, _Side, _Side]
    segmentation: _Runs | list[list[float]] | None = None
    iscrowd: Literal[0, 1] = 0


class _Category(_Part):
    id: int
    name: str


class _File(_Part):
    images: list[CocoImage]
    annotations: list[_Annotation]
    categories: list[_Category]


@dataclass(frozen=True)
class Evaluation:
    """The annotated images on which the precisions are measured, for the manifest to name one.

    annotations: a COCO file. images: the folder of its images. max_loss: the most AP (0 to 1) that
    the chosen precision may lose against float32, of boxes and of masks.
    """

    annotations: Path
    images: Path
    max_loss: float


@dataclass(frozen=True)
class AnnotatedImages:
    """Images with their annotations, all of which are sound.

    document: as COCO has it, where an image's id is its place in `images` and a category's that of
    the class; each segmentation is an RLE, or None for a model without masks. count: of the
    annotations that are no crowds. left_out: images that are not among these.
    """

    folder: Path
    images: Sequence[CocoImage]
    document: dict[str, Any]
    count: int
    left_out: int
    sha256: str

    def read(self, image: CocoImage) -> bytes:
        """Return the bytes of an image file. Raise AnnotationError, which names it."""
        return _read(self.folder / image.file_name, image.file_name)


def read_annotated_images(
    path: Path,
    folder: Path,
    class_names: Sequence[str],
    *,
    masks: bool,
    left_out: Collection[str] = (),
) -> AnnotatedImages:
    """Return the images of a COCO file, which are in `folder`, with their annotations.

    masks: whether each annotation needs one. left_out: the SHA-256 (hex) of image files that are
    not to be measured. Raise AnnotationError, which says what is wrong.
    """
    name = path.name
    content = _read(path, name)
    file = _parse(content, name)
    classes = _classes(file, class_names)
    _check_references(file)
    images = _images(file, folder, left_out)
    places = {image.id: place for place, image in enumerate(images)}
    kept = [(i, item) for i, item in enumerate(file.annotations, 1) if item.image_id in places]
    by_id = {image.id: image for image in images}
    annotations = [
        {
            "image_id": places[item.image_id],
            "category_id": classes[item.category_id],
            "bbox": list(item.bbox),
            "segmentation": _mask(number, item, by_id[item.image_id]) if masks else None,
            "iscrowd": item.iscrowd,
        }
        for number, item in kept
    ]
    _require_enough(len(images), annotations, class_names)
    document = {
        "images": [
            {"id": place, "width": image.width, "height": image.height}
            for place, image in enumerate(images)
        ],
        "categories": [{"id": place} for place in range(len(class_names))],
        "annotations": annotations,
    }
    count = sum(not item.iscrowd for _, item in kept)
    omitted = len(file.images) - len(images)
    return AnnotatedImages(folder, images, document, count, omitted, _sha256(content))


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AnnotationError(f"{name} cannot be read: {error.strerror or error}") from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _parse(content: bytes, name: str) -> _File:
    try:
        return _File.model_validate_json(content)
    except ValidationError as error:
        raise AnnotationError(
            f"{name} is no COCO file of annotated images: {summary(error)}"
        ) from error


def _classes(file: _File, class_names: Sequence[str]) -> dict[int, int]:
    """Return the class of each category that has annotations, by the category's id.

    Categories without annotations change nothing; tools write one above all others.
    """
    names = [category.name for category in file.categories]
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise AnnotationError(f"two categories are named {quoted(repeated[0])}")
    ids = Counter(category.id for category in file.categories)
    if ids and max(ids.values()) > 1:
        raise AnnotationError("two categories have the same id")
    used = {annotation.category_id for annotation in file.annotations}
    if unknown := sorted(used - ids.keys()):
        raise AnnotationError(f"no category has the id {unknown[0]}, which an annotation has")
    annotated = [category for category in file.categories if category.id in used]
    if strange := [item.name for item in annotated if item.name not in class_names]:
        raise AnnotationError(
            f"the category {quoted(strange[0])} is no class of the model, whose classes are "
            f"{few(map(quoted, class_names), 10)}; the names have to be the same"
        )
    return {item.id: list(class_names).index(item.name) for item in annotated}


def _check_references(file: _File) -> None:
    ids = Counter(image.id for image in file.images)
    if repeated := [image_id for image_id, count in ids.items() if count > 1]:
        raise AnnotationError(f"two images have the id {repeated[0]}")
    files = Counter(image.file_name for image in file.images)
    if twice := [name for name, count in files.items() if count > 1]:
        raise AnnotationError(f"two images have the file {few(twice)}")
    for number, annotation in enumerate(file.annotations, 1):
        if annotation.image_id not in ids:
            raise AnnotationError(
                f"annotation {number} is of an image {annotation.image_id}, which is not listed"
            )


def _images(file: _File, folder: Path, left_out: Collection[str]) -> list[CocoImage]:
    """Return the images to be measured. Raise AnnotationError where files are missing."""
    missing = [item.file_name for item in file.images if not (folder / item.file_name).is_file()]
    if missing:
        raise AnnotationError(
            f"{counted(len(missing), 'image')} of {len(file.images)} cannot be found in {folder}: "
            f"{few(missing)}; --images names their folder"
        )
    return [
        item
        for item in file.images
        if not left_out or _sha256(_read(folder / item.file_name, item.file_name)) not in left_out
    ]


def _mask(number: int, annotation: _Annotation, image: CocoImage) -> dict[str, Any]:
    size = image.height, image.width
    segmentation = annotation.segmentation
    try:
        if not segmentation:
            raise ValueError("it has no mask, and the model's masks are to be measured")
        if not isinstance(segmentation, _Runs):
            return polygons_to_rle(segmentation, size)
        if segmentation.size != size:
            raise ValueError("its mask has another size than its image")
        return checked_rle(segmentation.counts, size)
    except ValueError as error:
        raise AnnotationError(f"annotation {number}, of {image.file_name}: {error}") from error


def _require_enough(
    images: int, annotations: Sequence[dict[str, Any]], class_names: Sequence[str]
) -> None:
    """Raise AnnotationError where the images are too few for a statement about each class."""
    if images < MIN_IMAGES:
        raise AnnotationError(
            f"{counted(images, 'annotated image')} cannot tell how accurate a model is: at least "
            f"{MIN_IMAGES} are needed"
        )
    for class_id, name in enumerate(class_names):
        holding = set(_images_of_class(annotations, class_id))
        if len(holding) < MIN_IMAGES_OF_CLASS:
            raise AnnotationError(
                f"{counted(len(holding), 'image')} with {quoted(name)} cannot tell how well "
                f"it is found: at least {MIN_IMAGES_OF_CLASS} are needed"
            )


def _images_of_class(annotations: Sequence[dict[str, Any]], class_id: int) -> Iterator[int]:
    for annotation in annotations:
        if annotation["category_id"] == class_id and not annotation["iscrowd"]:
            yield annotation["image_id"]
