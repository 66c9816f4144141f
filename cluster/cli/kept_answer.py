"""What was kept of an answer: the answer itself, or its record in the audit trail."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pycocotools import mask as coco
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.bundle.golden import is_comparable
from pipeline.errors import LesionserveError
from pipeline.image.inspect import inspect
from pipeline.schemas import (
    Detection,
    ImageInfo,
    PolygonMask,
    Prediction,
    PredictOptions,
    RleMask,
)


class UnreadableAnswer(LesionserveError):
    """A file that holds neither an answer nor the record of one."""


@dataclass(frozen=True)
class KeptAnswer:
    """An answer, as far as it was kept.

    image: with the stored sides or the upright ones; None where they are not known. model: its
    facts by name, without those that were not kept. lesions: with masks as run lengths; None where
    only counts were kept. counts: the lesions of each class. score_counts: the lesions in tenths of
    the score; empty where not kept. is_gradable: None where it was not kept or not assessed.
    """

    request_id: str
    image: ImageInfo | None
    model: Mapping[str, Any]
    options: PredictOptions
    is_withheld: bool
    counts: Mapping[str, int]
    score_counts: Sequence[int]
    below_threshold: int
    lesions: Sequence[Detection] | None = None
    is_gradable: bool | None = None

    @classmethod
    def of(cls, prediction: Prediction) -> "KeptAnswer":
        """Return a whole answer. Raise UnreadableAnswer where its masks are damaged."""
        image, quality = prediction.image, prediction.quality
        return cls(
            request_id=prediction.request_id,
            image=image,
            model=prediction.model.model_dump(exclude={"sha256"}, exclude_none=True),
            options=prediction.options,
            is_withheld=prediction.is_withheld,
            counts=prediction.metrics.class_distribution,
            score_counts=(),
            below_threshold=prediction.below_threshold,
            lesions=[_with_run_lengths(lesion, image) for lesion in prediction.detections],
            is_gradable=None if quality is None else quality.gradable,
        )

    def is_of(self, data: bytes) -> bool | None:
        """Return whether an image file is the answered one; None where that was not kept.

        Raise ImageError.
        """
        if self.image is None:
            return None
        if self.image.sha256 is not None:
            return self.image.sha256 == hashlib.sha256(data).hexdigest()
        # Of an older answer, its format and sides are known; they show an image that is not its.
        return None if inspect(data).agrees_with(self.image) else False


class _Record(BaseModel):
    """A record of this version or an older one, as `/records/` or an export of the trail has it."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    request_id: str
    state: str
    image_sha256: str = ""
    image_format: str
    image_width: int | None
    image_height: int | None
    model_name: str
    model_version: str
    model_engine: str = ""
    model_precision: str = ""
    bundle_sha256: str = ""
    model_score_threshold: float | None = None
    model_software: dict[str, str] | None = None
    options: PredictOptions | None = None
    detection_count: int | None
    below_threshold: int | None = None
    class_counts: dict[str, int]
    score_counts: list[int] = Field(default=[])

    def kept(self) -> KeptAnswer:
        """Return what the record holds. Raise UnreadableAnswer for a record without an answer."""
        if self.state != "succeeded":
            raise UnreadableAnswer(f"the request has no answer: its record says {self.state}")
        if self.options is None:
            raise UnreadableAnswer("the record is older than the options in it")
        return KeptAnswer(
            request_id=self.request_id,
            image=self._image(),
            model=self._model(),
            options=self.options,
            is_withheld=self.detection_count is None,
            counts=self.class_counts,
            score_counts=self.score_counts,
            below_threshold=self.below_threshold or 0,
        )

    def _image(self) -> ImageInfo | None:
        if self.image_width is None or self.image_height is None:
            return None
        return ImageInfo(
            width=self.image_width,
            height=self.image_height,
            format=self.image_format,
            sha256=self.image_sha256 or None,
        )

    def _model(self) -> dict[str, Any]:
        facts = {
            "name": self.model_name,
            "version": self.model_version,
            "bundle_sha256": self.bundle_sha256,
            "engine": self.model_engine,
            "precision": self.model_precision,
            "score_threshold": self.model_score_threshold,
            "software": self.model_software,
        }
        return {name: value for name, value in facts.items() if value not in ("", None)}


def read_kept_answer(path: Path, request_id: str | None = None) -> KeptAnswer:
    """Return the answer that is kept in a file, as JSON or as one of several lines of JSON.

    request_id: of the answer in a file that holds several. Raise OSError and UnreadableAnswer.
    """
    try:
        return _read(path.read_bytes(), request_id)
    except UnreadableAnswer as error:
        raise UnreadableAnswer(f"{path.name}: {error}") from error


def _read(content: bytes, request_id: str | None) -> KeptAnswer:
    documents = list(_documents(content))
    if request_id is not None:
        documents = [each for each in documents if each.get("request_id") == request_id]
        if not documents:
            raise UnreadableAnswer(f"it holds no answer with the request id {request_id}")
    if not documents:
        raise UnreadableAnswer("it holds no answer")
    if len(documents) > 1:
        raise UnreadableAnswer(
            f"it holds {len(documents)} answers or records; name the one with --request-id"
        )
    try:
        return _kept(documents[0])
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "its values"
        raise UnreadableAnswer(
            f"it is neither an answer nor the record of one: {place}: {first['msg']}"
        ) from error


def _documents(content: bytes) -> Iterator[dict[str, Any]]:
    try:
        texts = [content.decode()]
        try:
            values = [json.loads(texts[0])]
        except json.JSONDecodeError:
            texts = [line for line in texts[0].splitlines() if line.strip()]
            values = [json.loads(text) for text in texts]
    except (ValueError, RecursionError) as error:
        raise UnreadableAnswer("it is not JSON") from error
    for value in values:
        if not isinstance(value, dict):
            raise UnreadableAnswer("it is neither an answer nor the record of one")
        # The events of an exported trail are no records.
        if len(values) == 1 or "request_id" in value:
            yield value


def _kept(document: dict[str, Any]) -> KeptAnswer:
    if "detections" in document:
        return KeptAnswer.of(Prediction.model_validate(document, extra="ignore"))
    return _Record.model_validate(document, extra="ignore").kept()


def _with_run_lengths(lesion: Detection, image: ImageInfo) -> Detection:
    """Return the lesion with its mask, if any, as run lengths. Raise UnreadableAnswer."""
    mask = lesion.mask
    if isinstance(mask, PolygonMask):
        # Together the polygons are exactly the mask.
        runs = coco.merge(coco.frPyObjects(mask.polygons, image.height, image.width))
        mask = RleMask(size=(image.height, image.width), counts=runs["counts"].decode("ascii"))
    lesion = lesion.model_copy(update={"mask": mask})
    if mask is not None and (
        mask.size != (image.height, image.width) or not is_comparable([lesion])
    ):
        raise UnreadableAnswer(f"the mask of lesion {lesion.id} is damaged")
    return lesion
