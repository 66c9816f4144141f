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

    MAX_CASE = 100

    at = models.DateTimeField(default=timezone.now, db_index=True, help_text="when it began")
    result = models.CharField(max_length=9, choices=Result)
    seconds = models.FloatField(null=True, help_text="until the answer; null where none was sent")
    status = models.PositiveSmallIntegerField(null=True, help_text="HTTP; null without an answer")
    error_code = models.CharField(max_length=64, default="", blank=True)
    detail = models.CharField(max_length=1000, default="", blank=True)
    request_id = models.UUIDField(null=True)
    case = models.CharField(max_length=MAX_CASE, default="", blank=True, help_text="golden case")
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


class Alert(models.Model):
    """One episode of an alert, from when it began to fire until it was resolved.

    Of an alert's labels and annotations, only these fields are kept.
    """

    fingerprint = models.CharField(max_length=16, help_text="of the alert's labels")
    name = models.CharField(max_length=100)
    severity = models.CharField(max_length=32, default="", blank=True)
    summary = models.CharField(max_length=300, default="", blank=True)
    started = models.DateTimeField(db_index=True)
    resolved = models.DateTimeField(null=True)
    last_seen = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ["-started", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["fingerprint", "started"], name="one_episode")
        ]
        indexes = [
            # Few alerts fire at a time.
            models.Index(
                fields=["started"], name="alert_open", condition=models.Q(resolved__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} from {self.started:%Y-%m-%d %H:%M:%S}"


class ServedModel(models.Model):
    """A model that answered requests, from when it was first seen until it was last seen.

    A model that returns after another one has one more row.
    """

    bundle_sha256 = models.CharField(max_length=64)
    name = models.CharField(max_length=200, blank=True)
    version = models.CharField(max_length=100, blank=True)
    first_seen = models.DateTimeField(db_index=True)
    last_seen = models.DateTimeField()

    class Meta:
        ordering = ["-first_seen", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["bundle_sha256", "first_seen"], name="one_first_seen")
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.bundle_sha256[:12]})"
