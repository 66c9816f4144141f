import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline import masks, visualize
from pipeline.contract import Instances, Lesion
from pipeline.image.decode import DecodedImage
from pipeline.masks import RunMask
from pipeline.schemas import Detection, Mask, MaskFormat, Metrics, PredictOptions

Shape = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Findings:
    """The part of an answer that depends on the image alone; `visualization` is base64."""

    detections: list[Detection]
    metrics: Metrics
    visualization: str | None


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
    found = to_source(instances, input_shape, shape, options.score_threshold)
    pasted = paste(found, shape)
    detections = [
        to_detection(index, found, class_names, mask, options.masks)
        for index, mask in enumerate(pasted)
    ]
    picture = None
    if options.visualization != "none":
        overlay = visualize.draw(source.pixels, to_lesions(detections, pasted))
        encoded = visualize.encode(overlay, options.visualization)
        picture = base64.b64encode(encoded).decode("ascii")
    return Findings(detections, Metrics.of(detections, class_names), picture)


def to_source(
    instances: Instances, input_shape: Shape, shape: Shape, score_threshold: float | None
) -> Instances:
    """Scales and clips boxes as Detectron2's `detector_postprocess` does, in float32, to pixels of
    the source image, and drops the empty and the unlikely ones."""
    height, width = shape
    scale = np.array([width / input_shape[1], height / input_shape[0]] * 2, dtype=np.float32)
    limit = np.array([width, height] * 2, dtype=np.float32)
    boxes = (instances.boxes * scale).clip(0, limit)
    keep = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    if score_threshold is not None:
        keep &= instances.scores >= score_threshold
    return Instances(
        boxes=boxes[keep],
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
