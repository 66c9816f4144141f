import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.image import draw, masks
from pipeline.image.decode import DecodedImage
from pipeline.image.masks import RunMask
from pipeline.instances import Instances, Lesion
from pipeline.schemas import (
    Detection,
    ImageInfo,
    Mask,
    MaskFormat,
    Metrics,
    ModelInfo,
    Prediction,
    PredictOptions,
)

Shape = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Findings:
    """The part of an answer that depends on the image and the options alone.

    `below_threshold` counts the detections that `options.score_threshold` dropped;
    `visualization` is base64.
    """

    image: ImageInfo
    options: PredictOptions
    detections: list[Detection]
    below_threshold: int
    metrics: Metrics
    visualization: str | None

    def answer(
        self,
        request_id: str,
        correlation_id: str | None,
        model: ModelInfo,
        timings_ms: dict[str, float],
    ) -> Prediction:
        """Return the findings as the answer to one request."""
        return Prediction(
            request_id=request_id,
            correlation_id=correlation_id,
            model=model,
            options=self.options,
            image=self.image,
            detections=self.detections,
            below_threshold=self.below_threshold,
            metrics=self.metrics,
            visualization=self.visualization,
            timings_ms=timings_ms,
        )


def postprocess(
    source: DecodedImage,
    input_shape: Shape,
    instances: Instances,
    class_names: Sequence[str],
    options: PredictOptions,
) -> Findings:
    """Instances in model-input pixels -> what the client gets, in pixels of the source image.

    input_shape: (height, width) of the model input. class_names: by class id.
    """
    shape = source.info.height, source.info.width
    reported = to_source(instances, input_shape, shape)
    found = above(reported, options.score_threshold)
    pasted = paste(found, shape)
    detections = [
        to_detection(index, found, class_names, mask, options.masks)
        for index, mask in enumerate(pasted)
    ]
    picture = None
    if options.visualization != "none":
        overlay = draw.draw(source.pixels, to_lesions(detections, pasted))
        encoded = draw.encode(overlay, options.visualization)
        picture = base64.b64encode(encoded).decode("ascii")
    return Findings(
        image=source.info,
        options=options,
        detections=detections,
        below_threshold=len(reported) - len(found),
        metrics=Metrics.of(detections, class_names),
        visualization=picture,
    )


def to_source(instances: Instances, input_shape: Shape, shape: Shape) -> Instances:
    """Scales and clips boxes as Detectron2's `detector_postprocess` does, in float32, to pixels of
    the source image, and drops the empty ones."""
    height, width = shape
    scale = np.array([width / input_shape[1], height / input_shape[0]] * 2, dtype=np.float32)
    limit = np.array([width, height] * 2, dtype=np.float32)
    boxes = (instances.boxes * scale).clip(0, limit)
    keep = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return select(replace(instances, boxes=boxes), keep)


def above(instances: Instances, score_threshold: float | None) -> Instances:
    """Return the instances with at least this score, compared in the scores' float32."""
    if score_threshold is None:
        return instances
    return select(instances, instances.scores >= np.float32(score_threshold))


def select(instances: Instances, keep: NDArray[np.bool_]) -> Instances:
    return Instances(
        boxes=instances.boxes[keep],
        scores=instances.scores[keep],
        classes=instances.classes[keep],
        masks=None if instances.masks is None else instances.masks[keep],
    )


def paste(found: Instances, shape: Shape) -> list[RunMask | None]:
    """Each one's mask in the source image, or None where the model predicts no masks."""
    if found.masks is None:
        return [None] * len(found)
    return [
        masks.paste(probabilities, box, *shape)
        for probabilities, box in zip(found.masks, found.boxes, strict=True)
    ]


def to_detection(
    index: int,
    found: Instances,
    class_names: Sequence[str],
    pasted: RunMask | None,
    mask_format: MaskFormat,
) -> Detection:
    class_id = int(found.classes[index])
    x1, y1, x2, y2 = found.boxes[index].tolist()
    mask: Mask | None = None
    if pasted is not None and mask_format == "rle":
        mask = masks.encode_rle(pasted)
    elif pasted is not None and mask_format == "polygon":
        mask = masks.encode_polygons(pasted)
    return Detection(
        id=index,
        class_id=class_id,
        label=class_names[class_id],
        score=float(found.scores[index]),
        box=(x1, y1, x2, y2),
        box_area=(x2 - x1) * (y2 - y1),
        mask_area=None if pasted is None else pasted.area(),
        mask=mask,
    )


def to_lesions(detections: Sequence[Detection], pasted: Sequence[RunMask | None]) -> list[Lesion]:
    """What is drawn of them: now the pixels of each mask are wanted, within its bounds."""
    return [
        Lesion(
            class_id=detection.class_id,
            label=detection.label,
            score=detection.score,
            box=detection.box,
            mask=None if mask is None else mask.crop(),
        )
        for detection, mask in zip(detections, pasted, strict=True)
    ]
