from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from pipeline.errors import LesionserveError
from pipeline.http import correlation
from pipeline.model_info import ModelInfo
from pipeline.schema import Label, Schema, without_sign

# Scores and the threshold are compared in float32. Written as float64 in JSON, a score that equals
# a threshold such as 0.7 is smaller by up to this difference.
_FLOAT32_STEP = 1e-7

MaskFormat = Literal["rle", "polygon", "none"]
VisualizationFormat = Literal["jpeg", "png", "none"]

CorrelationId = Annotated[
    str, StringConstraints(max_length=correlation.MAX_LENGTH, pattern=correlation.PATTERN)
]


class PredictOptions(Schema):
    """The options of a prediction, sent as query parameters to the gateway or the ingress."""

    masks: MaskFormat = Field(default="rle", description="how each lesion's mask is written")
    visualization: VisualizationFormat = Field(
        default="jpeg", description="encoding of the picture with the lesions drawn on"
    )
    score_threshold: Annotated[float | None, AfterValidator(without_sign)] = Field(
        default=None,
        ge=0,
        le=1,
        description="drop detections below this score; can only raise the model's own threshold",
    )


class ImageInfo(Schema):
    """The source image, upright: EXIF orientation is applied to width and height (pixels)."""

    width: int = Field(ge=1)
    height: int = Field(ge=1)
    format: str = Field(description="JPEG, PNG, TIFF, WEBP or BMP")
    sha256: str | None = Field(
        default=None,
        pattern="^[0-9a-f]{64}$",
        description="of the file's bytes; null in answers that are older than the field",
    )
    orientation: int | None = Field(
        default=None,
        ge=1,
        le=8,
        description=(
            "the EXIF orientation by which the stored picture was turned upright, 1 for none; null "
            "for TIFF, and in answers that are older than the field"
        ),
    )


class ImageStatistics(Schema):
    """The quality of the upright source image, in numbers.

    All but `shorter_side` are of the image reduced to at most 640 pixels along its longer edge.
    Luma is ITU-R BT.601's, and a level is one of its 256.
    """

    shorter_side: int = Field(ge=1, description="pixels of the image itself")
    luma_mean: float = Field(ge=0, le=1, description="exposure: the mean luma, 1 for white")
    dark_share: float = Field(ge=0, le=1, description="of pixels with a luma of at most 5 levels")
    bright_share: float = Field(ge=0, le=1, description="of pixels with at least 250 levels")
    glare_share: float = Field(
        ge=0,
        le=1,
        description=(
            "of pixels that are bright without a colour, as mirrored lamps are: HSV value at least "
            "0.9, saturation at most 0.2"
        ),
    )
    contrast: float = Field(
        ge=0,
        description=(
            "RMS contrast (Peli 1990) relative to the mean: the standard deviation of luma by its "
            "mean, so that it is the same for a darker copy"
        ),
    )
    laplacian_variance: float = Field(
        ge=0,
        description="variance of the Laplacian in levels² (Pech-Pacheco et al. 2000)",
    )
    tenengrad: float = Field(
        ge=0, description="the mean squared Sobel gradient in levels² (Krotkov 1987)"
    )
    sharpness: float = Field(
        ge=0,
        description=(
            "laplacian_variance by the variance of luma, so that it is the same for a darker copy; "
            "without a unit"
        ),
    )
    noise: float = Field(
        ge=0,
        description="the standard deviation of the noise in levels (Immerkær 1996), texture added",
    )
    red_stops: float = Field(
        description="white balance: log2 of the mean red by the mean green, 0 for grey"
    )
    blue_stops: float = Field(description="the same for blue")
    vignette: float = Field(
        ge=-1,
        le=1,
        description="(centre - corners) / (centre + corners) of their mean luma, 0 for even light",
    )


# As a pattern, so that an older gateway passes on a reason of a later version.
UngradableReason = Annotated[str, StringConstraints(max_length=40, pattern="^[a-z][a-z_]*$")]


class Quality(Schema):
    """The quality of the image, and whether it is good enough by the limits of the model's bundle.

    The limits come from the images that the model was validated on.
    """

    statistics: ImageStatistics
    gradable: bool | None = Field(
        description="whether every limit is kept; null: not assessed, as the bundle has no limits"
    )
    reasons: list[UngradableReason] = Field(
        max_length=40,
        description=(
            "why it is not gradable, else empty: too_dark, too_bright, overexposed, glare, "
            "low_contrast, out_of_focus, noisy, colour_cast, dark_corners, too_small; later "
            "versions may add others"
        ),
    )
    withheld: bool = Field(
        description=(
            "whether the service, as it was set, did not look for lesions because the image is not "
            "gradable: then the answer has no detections, and says nothing about the patient"
        )
    )

    @model_validator(mode="after")
    def _check_reasons(self) -> Self:
        if (self.gradable is False) != bool(self.reasons):
            raise ValueError("an image is ungradable for a reason, and only then")
        if self.withheld and self.gradable is not False:
            raise ValueError("only of an ungradable image anything is withheld")
        return self


class RleMask(Schema):
    """A mask in COCO's compressed run-length encoding, which `pycocotools.mask.decode` reads."""

    format: Literal["rle"] = "rle"
    size: tuple[int, int] = Field(description="height and width of the source image")
    counts: str


class PolygonMask(Schema):
    """A mask as COCO's segmentation lists: each polygon is [x1, y1, x2, y2, ...] in source pixels.

    Every polygon is simple and has no hole; together they are exactly the mask.
    """

    format: Literal["polygon"] = "polygon"
    polygons: list[Annotated[list[float], Field(min_length=6)]] = Field(min_length=1)


Mask = Annotated[RleMask | PolygonMask, Field(discriminator="format")]


class Detection(Schema):
    """A lesion. `box` is XYXY in pixels of the upright source image; areas are in pixels."""

    id: int = Field(description="position in the answer, by falling score, from 0")
    class_id: int
    label: Label
    score: float = Field(ge=0, le=1)
    box: tuple[float, float, float, float]
    box_area: float = Field(ge=0)
    mask_area: int | None = Field(ge=0, description="null where the model predicts no masks")
    mask: Mask | None = Field(
        description=(
            "null where `masks=none` was asked for, the model predicts no masks, or a mask without "
            "pixels (`mask_area` 0) would be polygons"
        )
    )


class Metrics(Schema):
    """The metrics for the record. `scores` and `box_areas` are in the order of the detections."""

    class_distribution: dict[Label, int] = Field(
        max_length=10_000, description="every class of the model, 0 included"
    )
    scores: list[float]
    box_areas: list[float]

    @classmethod
    def of(cls, detections: Sequence[Detection], class_names: Iterable[str]) -> Self:
        distribution = dict.fromkeys(class_names, 0)
        for detection in detections:
            distribution[detection.label] = distribution.get(detection.label, 0) + 1
        return cls(
            class_distribution=distribution,
            scores=[detection.score for detection in detections],
            box_areas=[detection.box_area for detection in detections],
        )


class Prediction(Schema):
    """The answer of the ingress, which the gateway passes on."""

    request_id: str
    correlation_id: CorrelationId | None = Field(
        description="the request's X-Correlation-Id, or null"
    )
    model: ModelInfo
    options: PredictOptions = Field(
        description=(
            "what was asked for, with defaults filled in; a score_threshold of null is the "
            "model's own"
        )
    )
    image: ImageInfo
    detections: list[Detection]
    below_threshold: int = Field(
        ge=0,
        le=1_000_000_000,
        description=(
            "how many detections the model reported that the asked score_threshold dropped"
        ),
    )
    metrics: Metrics
    visualization: str | None = Field(description="base64 of the encoded picture, or null")
    timings_ms: dict[str, float] = Field(description="milliseconds spent in each stage")
    quality: Quality | None = Field(
        default=None,
        description="of the image; null in answers of a serving half that is older than the field",
    )
    embedding_distance: float | None = Field(
        default=None,
        ge=0,
        description=(
            "how far the image is, as the model sees it, from those that the model was validated "
            "on, without a unit; null where the bundle's profile does not tell, or no lesions were "
            "looked for"
        ),
    )

    @model_validator(mode="after")
    def _check_metrics(self) -> Self:
        if self.metrics != Metrics.of(self.detections, self.metrics.class_distribution):
            raise ValueError("the metrics do not match the detections")
        return self

    @model_validator(mode="after")
    def _check_options(self) -> Self:
        options = self.options
        if options.score_threshold is None and self.below_threshold:
            raise ValueError("detections were dropped without a threshold")
        lowest_score = (options.score_threshold or 0) - _FLOAT32_STEP
        if any(score < lowest_score for score in self.metrics.scores):
            raise ValueError("a detection is below the threshold")
        formats = {detection.mask.format for detection in self.detections if detection.mask}
        if formats - {options.masks}:
            raise ValueError("a mask is not in the requested format")
        if options.visualization == "none" and self.visualization is not None:
            raise ValueError("the answer has a picture that was not requested")
        return self

    @property
    def is_withheld(self) -> bool:
        """Return whether no lesions were looked for, because the image is not gradable."""
        return self.quality is not None and self.quality.withheld

    @model_validator(mode="after")
    def _check_withheld(self) -> Self:
        if self.is_withheld and (self.detections or self.below_threshold):
            raise ValueError("the answer has detections that are withheld")
        return self


class Problem(Schema):
    """RFC 9457 problem details, sent as `application/problem+json`."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str = Field(description="stable, machine-readable name of the error")
    request_id: str
    correlation_id: CorrelationId | None = Field(
        default=None, description="the request's X-Correlation-Id, or null"
    )

    @classmethod
    def of(
        cls, error: LesionserveError, request_id: str, correlation_id: str | None = None
    ) -> "Problem":
        return cls(
            title=error.title,
            status=error.status,
            detail=str(error),
            code=error.code,
            request_id=request_id,
            correlation_id=correlation_id,
        )
