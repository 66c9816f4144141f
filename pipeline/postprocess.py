import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline import masks, visualize
from pipeline.contract import Instances, Lesion
from pipeline.decode import DecodedImage
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
    lesions = to_lesions(instances, input_shape, shape, class_names, options.score_threshold)
    detections = [
        to_detection(index, lesion, shape, options.masks) for index, lesion in enumerate(lesions)
    ]
    picture = None
    if options.visualization != "none":
        overlay = visualize.draw(source.pixels, lesions)
        encoded = visualize.encode(overlay, options.visualization)
        picture = base64.b64encode(encoded).decode("ascii")
    return Findings(detections, measure(detections, class_names), picture)


def to_lesions(
    instances: Instances,
    input_shape: Shape,
    shape: Shape,
    class_names: Sequence[str],
    score_threshold: float | None,
) -> list[Lesion]:
    """Scales and clips boxes as Detectron2's `detector_postprocess` does, in float32, drops the
    empty and the unlikely ones, and pastes each mask into its box."""
    height, width = shape
    scale = np.array([width / input_shape[1], height / input_shape[0]] * 2, dtype=np.float32)
    limit = np.array([width, height] * 2, dtype=np.float32)
    boxes = (instances.boxes * scale).clip(0, limit)
    keep = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    if score_threshold is not None:
        keep &= instances.scores >= score_threshold
    lesions = []
    for i in np.flatnonzero(keep):
        class_id = int(instances.classes[i])
        x1, y1, x2, y2 = boxes[i].tolist()
        lesions.append(
            Lesion(
                class_id=class_id,
                label=class_names[class_id],
                score=float(instances.scores[i]),
                box=(x1, y1, x2, y2),
                mask=None
                if instances.masks is None
                else masks.paste(instances.masks[i], boxes[i], height, width),
            )
        )
    return lesions


def to_detection(index: int, lesion: Lesion, shape: Shape, mask_format: MaskFormat) -> Detection:
    """shape: (height, width) of the source image."""
    x1, y1, x2, y2 = lesion.box
    mask: Mask | None = None
    if lesion.mask is not None and mask_format == "rle":
        mask = masks.encode_rle(lesion.mask, *shape)
    elif lesion.mask is not None and mask_format == "polygon":
        mask = masks.encode_polygons(lesion.mask)
    return Detection(
        id=index,
        class_id=lesion.class_id,
        label=lesion.label,
        score=lesion.score,
        box=lesion.box,
        box_area=(x2 - x1) * (y2 - y1),
        mask_area=None if lesion.mask is None else int(lesion.mask.pixels.sum()),
        mask=mask,
    )


def measure(detections: Sequence[Detection], class_names: Sequence[str]) -> Metrics:
    distribution = dict.fromkeys(class_names, 0)
    for detection in detections:
        distribution[detection.label] += 1
    return Metrics(
        class_distribution=distribution,
        scores=[detection.score for detection in detections],
        box_areas=[detection.box_area for detection in detections],
    )
