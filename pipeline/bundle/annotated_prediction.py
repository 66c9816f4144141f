"""The answers on annotated images, in the form in which COCO compares them with annotations."""

from typing import Any

from pipeline.bundle.annotated_images import CocoImage
from pipeline.errors import AnnotationError, ImageError
from pipeline.predictor import Answer, LesionPredictor
from pipeline.schemas import Prediction, PredictOptions, RleMask

OPTIONS = PredictOptions(masks="rle", visualization="none")


def predict_annotated(predictor: LesionPredictor, image: CocoImage, data: bytes) -> Answer:
    """Return the answer on an annotated image.

    Raise AnnotationError where the file is refused, or has another size than its annotations.
    """
    try:
        answer = predictor.answer(data, OPTIONS)
    except ImageError as error:
        raise AnnotationError(f"{image.file_name}: {error}") from error
    size = answer.prediction.image.width, answer.prediction.image.height
    if size != (image.width, image.height):
        raise AnnotationError(
            f"{image.file_name} has {size[0]}x{size[1]} pixels once it is upright, and its "
            f"annotations are for {image.width}x{image.height}"
        )
    return answer


def to_coco(image_id: int, prediction: Prediction) -> list[dict[str, Any]]:
    """Return the detections of an answer, with RLE masks or without any, as COCO has them."""
    detections = []
    for detection in prediction.detections:
        x1, y1, x2, y2 = detection.box
        mask = detection.mask
        assert mask is None or isinstance(mask, RleMask)
        detections.append(
            {
                "image_id": image_id,
                "category_id": detection.class_id,
                "score": detection.score,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "segmentation": None if mask is None else mask.model_dump(exclude={"format"}),
            }
        )
    return detections
