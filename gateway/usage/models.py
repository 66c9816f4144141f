from typing import ClassVar

from django.db import models
from django.utils import timezone

from pipeline.schemas import ImageInfo, Prediction


class State(models.TextChoices):
    """Where a request is; every state but the first is final."""

    RECEIVED = "received"
    SUCCEEDED = "succeeded"
    REJECTED = "rejected", "rejected: the request was at fault"
    SHED = "shed", "shed: no room for it"
    FAILED = "failed", "failed: the service was at fault"
    ABORTED = "aborted", "aborted: the client left"


class RecordManager(models.Manager["Record"]):
    def finish(self, pk: int, values: dict[str, object]) -> None:
        """Writes a final state. The first one stands: a later attempt changes nothing."""
        self.filter(pk=pk, state=State.RECEIVED).update(**values)


class Record(models.Model):
    """One request to /predict/, refused ones included.

    Never an image, a file name, anything of its metadata, or a key's secret. The key is named by
    its id rather than by a foreign key: a record does not change with what it refers to.
    """

    request_id = models.UUIDField(unique=True)
    state = models.CharField(max_length=16, choices=State, default=State.RECEIVED)
    status = models.PositiveSmallIntegerField(null=True, help_text="HTTP; null without an answer")
    error_code = models.CharField(max_length=64, default="", blank=True)
    key_id = models.CharField(max_length=12, default="", blank=True)

    received_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    latency_ms = models.FloatField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="times sent upstream")

    body_bytes = models.BigIntegerField(null=True, help_text="of the body as announced")
    image_bytes = models.BigIntegerField(null=True)
    image_format = models.CharField(max_length=8, default="", blank=True)
    image_width = models.PositiveIntegerField(null=True)
    image_height = models.PositiveIntegerField(null=True)
    image_pixels = models.BigIntegerField(null=True)

    model_name = models.CharField(max_length=200, default="", blank=True)
    model_version = models.CharField(max_length=100, default="", blank=True)
    detection_count = models.PositiveIntegerField(null=True)
    class_counts = models.JSONField(default=dict, blank=True)

    objects: ClassVar[RecordManager] = RecordManager()

    class Meta:
        ordering = ["-received_at"]
        indexes = [
            models.Index(fields=["received_at"]),
            models.Index(fields=["key_id", "received_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.request_id} {self.state}"

    def note_image(self, size: int, info: ImageInfo) -> None:
        self.image_bytes = size
        self.image_format = info.format
        self.image_width, self.image_height = info.width, info.height
        self.image_pixels = info.width * info.height

    def note_prediction(self, prediction: Prediction) -> None:
        self.model_name = prediction.model.name[:200]
        self.model_version = prediction.model.version[:100]
        self.detection_count = len(prediction.detections)
        self.class_counts = prediction.metrics.class_distribution

    def final_values(self) -> dict[str, object]:
        """What the end of the request adds to the row."""
        return {name: getattr(self, name) for name in _WRITTEN_AT_THE_END}


_WRITTEN_AT_THE_END = (
    "state",
    "status",
    "error_code",
    "finished_at",
    "latency_ms",
    "attempts",
    "image_bytes",
    "image_format",
    "image_width",
    "image_height",
    "image_pixels",
    "model_name",
    "model_version",
    "detection_count",
    "class_counts",
)
