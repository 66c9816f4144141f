import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.image import draw, masks
from pipeline.image.decode import DecodedImage
from pipeline.image.masks import RunMask
from pipeline.instances import Instances, Lesion
from pipeline.model_info import ModelInfo
from pipeline.schemas import (
    Detection,
    ImageInfo,
    Mask,
    MaskFormat,
    Metrics,
    Prediction,
    PredictOptions,
    Quality,
)

Shape = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Findings:
    """The part of an answer that depends only on the image, the model and the options.

    `below_threshold` is the number of detections that `options.score_threshold` dropped.
    `visualization` is the picture in base64, or None.
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
        quality: Quality,
        embedding_distance: float | None,
        timings_ms: dict[str, float],
    ) -> Prediction:
        """Return the Prediction: these findings with what else is known of the request."""
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
            quality=quality,
            embedding_distance=embedding_distance,
        )


def postprocess(
    source: DecodedImage,
    input_shape: Shape,
    instances: Instances,
    class_names: Sequence[str],
    options: PredictOptions,
) -> Findings:
    """Return the findings, in pixels of the source image, from instances in the model input.

    input_shape: (height, width) of the model input. class_names: names by class id.
    """
    shape = source.info.height, source.info.width
    source_instances = to_source(instances, input_shape, shape)
    selection = above(source_instances, options.score_threshold)
    run_masks = paste(selection, shape)
    detections = [
        to_detection(index, selection, class_names, mask, options.masks)
        for index, mask in enumerate(run_masks)
    ]
    picture = None
    if options.visualization != "none":
        overlay = draw.draw(source.pixels, to_lesions(detections, run_masks), len(class_names))
        encoded = draw.encode(overlay, options.visualization)
        picture = base64.b64encode(encoded).decode("ascii")
    return Findings(
        image=source.info,
        options=options,
        detections=detections,
        below_threshold=len(source_instances) - len(selection),
        metrics=Metrics.of(detections, class_names),
        visualization=picture,
    )


def to_source(instances: Instances, input_shape: Shape, shape: Shape) -> Instances:
    """Return the instances with boxes in pixels of the source image, clipped to it.

    Boxes are scaled in float32 as by Detectron2's `detector_postprocess`; empty ones are dropped.
    input_shape, shape: (height, width) of the model input and of the source image.
    """
    height, width = shape
    scale = np.array([width / input_shape[1], height / input_shape[0]] * 2, dtype=np.float32)
    limit = np.array([width, height] * 2, dtype=np.float32)
    boxes = (instances.boxes * scale).clip(0, limit)
    keep = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return select(replace(instances, boxes=boxes), keep)


def above(instances: Instances, score_threshold: float | None) -> Instances:
    """Return the instances with a score of at least `score_threshold`, compared in float32."""
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


def paste(instances: Instances, shape: Shape) -> list[RunMask | None]:
    """Return one mask for each instance, in a source image of `shape`.

    Each is None where the model has no masks. The boxes of the instances are in pixels of the
    source image.
    """
    if instances.masks is None:
        return [None] * len(instances)
    return [
        masks.paste(probabilities, box, *shape)
        for probabilities, box in zip(instances.masks, instances.boxes, strict=True)
    ]


def to_detection(
    index: int,
    instances: Instances,
    class_names: Sequence[str],
    run_mask: RunMask | None,
    mask_format: MaskFormat,
) -> Detection:
    class_id = int(instances.classes[index])
    x1, y1, x2, y2 = instances.boxes[index].tolist()
    mask: Mask | None = None
    if run_mask is not None and mask_format == "rle":
        mask = masks.encode_rle(run_mask)
    elif run_mask is not None and mask_format == "polygon":
        mask = masks.encode_polygons(run_mask)
    return Detection(
        id=index,
        class_id=class_id,
        label=class_names[class_id],
        score=float(instances.scores[index]),
        box=(x1, y1, x2, y2),
        box_area=(x2 - x1) * (y2 - y1),
        mask_area=None if run_mask is None else run_mask.area(),
        mask=mask,
    )


def to_lesions(
    detections: Sequence[Detection], run_masks: Sequence[RunMask | None]
) -> list[Lesion]:
    """Return the lesions to draw, with the pixels of each mask within its bounds."""
    return [
        Lesion(
            class_id=detection.class_id,
            label=detection.label,
            score=detection.score,
            box=detection.box,
            mask=None if mask is None else mask.crop(),
        )
        for detection, mask in zip(detections, run_masks, strict=True)
    ]
