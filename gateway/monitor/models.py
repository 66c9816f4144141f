from django.db import models
from django.utils import timezone


class ProbeLease(models.Model):
    """The one row by which all gateways agree on whose turn it is to send a probe."""

    due_at = models.DateTimeField(help_text="of the next probe, by the database's clock")
    turn = models.PositiveBigIntegerField(default=0, help_text="probes begun so far")

    def __str__(self) -> str:
        return f"turn {self.turn + 1} is due at {self.due_at}"


class ProbeRun(models.Model):
    """The outcome of one probe. The audit record of its request has the same request id."""

    class Result(models.TextChoices):
        AGREED = "agreed", "agreed: the expected lesions"
        DISAGREED = "disagreed", "disagreed: other lesions, or another model"
        FAILED = "failed", "failed: no prediction"

    at = models.DateTimeField(default=timezone.now, db_index=True, help_text="when it began")
    result = models.CharField(max_length=9, choices=Result)
    seconds = models.FloatField(null=True, help_text="until the answer; null where none was sent")
    status = models.PositiveSmallIntegerField(null=True, help_text="HTTP; null without an answer")
    error_code = models.CharField(max_length=64, default="", blank=True)
    detail = models.CharField(max_length=1000, default="", blank=True)
    request_id = models.UUIDField(null=True)
    case = models.CharField(max_length=100, default="", blank=True, help_text="golden case")
    bundle_sha256 = models.CharField(max_length=64, default="", blank=True)
    max_score_difference = models.FloatField(null=True)
    min_mask_iou = models.FloatField(null=True)
    max_box_pixels = models.FloatField(null=True)

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["result", "id"], name="probe_result")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S}: {self.result}"

    @property
    def agrees(self) -> bool:
        return self.result == self.Result.AGREED
