from django.db import models
from django.utils import timezone

from gateway.examination import KEY_LENGTH
from gateway.people.models import Organisation


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


class ReferenceProfile(models.Model):
    """The profile of a model's bundle, as the ingress reported it."""

    bundle_sha256 = models.CharField(max_length=64, unique=True)
    profile = models.JSONField(null=True, help_text="null for a bundle without one")
    labels = models.JSONField(
        null=True, help_text="translations of its class names, by label and language"
    )
    class_names = models.JSONField(
        null=True, help_text="the least severe first; null where the ingress did not tell"
    )
    read_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.bundle_sha256[:12]


class WatchState(models.Model):
    """How far the watch of one model in one organisation has come.

    `state` holds what follows from the observations until `until`, and `base` what follows from
    those that were deleted, so that the rest can be computed again.
    """

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE)
    bundle_sha256 = models.CharField(max_length=64)
    alpha = models.FloatField(help_text="the chance of a false alarm in a year")
    until = models.DateTimeField(db_index=True)
    state = models.JSONField(default=dict)
    base_until = models.DateTimeField()
    base = models.JSONField(default=dict)
    turn = models.PositiveBigIntegerField(default=0, help_text="how often it was advanced")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "bundle_sha256"], name="one_watch")
        ]

    def __str__(self) -> str:
        return f"{self.organisation} {self.bundle_sha256[:12]} until {self.until:%Y-%m-%d %H:%M}"


class WatchAlarm(models.Model):
    """A verdict of the watch: what a clinic sends, or what the model finds, is not as it was."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE)
    bundle_sha256 = models.CharField(max_length=64)
    group = models.CharField(max_length=40)
    reference = models.CharField(max_length=10, help_text="validation or earlier")
    at = models.DateTimeField(help_text="when the evidence reached the threshold")
    since = models.DateTimeField(help_text="when the evidence began to rise")
    evidence = models.FloatField(help_text="the wealth of the bets, which began with 1")
    threshold = models.FloatField()
    statistic = models.CharField(max_length=200, help_text="what changed most")
    is_higher = models.BooleanField()
    usual = models.JSONField(null=True, help_text="its quantiles in the reference: 5, 50, 95 %")
    now = models.FloatField(null=True, help_text="its median since then")
    examples = models.JSONField(default=list, help_text="request ids of images that show it")
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=200, default="", blank=True)

    class Meta:
        ordering = ["-at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "bundle_sha256", "group", "reference", "at"],
                name="one_watch_alarm",
            )
        ]
        indexes = [
            models.Index(
                fields=["at"],
                name="watch_alarm_open",
                condition=models.Q(acknowledged_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.group} against {self.reference} at {self.at:%Y-%m-%d %H:%M}"


class Rollout(models.Model):
    """A candidate bundle beside the stable one, from when a person starts it until it ends.

    The candidate answers at the path `/candidate` of the ingress. At most one rollout runs.
    """

    class Mode(models.TextChoices):
        SHADOW = "shadow", "shadow: the stable model answers, and the candidate is compared"
        CANARY = "canary", "canary: the candidate answers a share of the examinations"

    class State(models.TextChoices):
        RUNNING = "running"
        PROMOTED = "promoted", "promoted: the candidate has become the stable model"
        ABORTED = "aborted", "aborted: a person ended it"
        ROLLED_BACK = "rolled_back", "rolled back: a test found the candidate to be worse"

    candidate_sha256 = models.CharField(max_length=64, help_text="the identity of its bundle")
    mode = models.CharField(max_length=6, choices=Mode)
    percent = models.PositiveSmallIntegerField(help_text="of the examinations")
    organisations = models.ManyToManyField(
        Organisation, blank=True, help_text="whose images take part; all where none is named"
    )
    alpha = models.FloatField(help_text="the chance that a good candidate is ever rolled back")
    max_disagreement = models.FloatField(help_text="the accepted mean share of other lesions")
    max_errors = models.FloatField(help_text="the accepted share of images that it fails")
    max_slow = models.FloatField(help_text="the accepted share of images on which it is slow")
    slow_factor = models.FloatField(help_text="slow: longer than so many times the stable model")
    patience_s = models.FloatField(help_text="until it counts as failed on an image")

    state = models.CharField(max_length=11, choices=State, default=State.RUNNING)
    reason = models.CharField(max_length=300, default="", blank=True, help_text="of its end")
    started_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(null=True, help_text="when both models were found to answer")
    promotion_at = models.DateTimeField(null=True, help_text="when a person decided to promote it")
    ended_at = models.DateTimeField(null=True)
    stable_sha256 = models.CharField(max_length=64, default="", blank=True)
    stable_threshold = models.FloatField(null=True, help_text="its own score threshold")
    candidate_threshold = models.FloatField(null=True)
    evidence = models.JSONField(default=dict, blank=True, help_text="the state of each test")

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["state"], condition=models.Q(state="running"), name="one_rollout"
            )
        ]

    def __str__(self) -> str:
        return f"{self.mode} of {self.candidate_sha256[:12]}: {self.state}"


class Comparison(models.Model):
    """How both models of a rollout did on one image, as numbers only.

    The audit record of the client's request has the same request id. Without lesions in either
    answer, or without an answer of the candidate, there is no disagreement.
    """

    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE)
    request_id = models.UUIDField()
    at = models.DateTimeField(default=timezone.now, db_index=True)
    examination = models.CharField(max_length=KEY_LENGTH)
    error_code = models.CharField(
        max_length=64, default="", blank=True, help_text="why the candidate gave no answer"
    )
    stable_s = models.FloatField(null=True, help_text="seconds until the model's answer")
    candidate_s = models.FloatField(null=True)
    agreed = models.PositiveIntegerField(null=True)
    borderline = models.PositiveIntegerField(null=True)
    reclassified = models.PositiveIntegerField(null=True)
    added = models.PositiveIntegerField(null=True)
    lost = models.PositiveIntegerField(null=True)
    disagreement = models.FloatField(null=True, help_text="the share of lesions that differ")
    max_score_delta = models.FloatField(null=True, help_text="the largest change of a score")
    mean_area_delta = models.FloatField(null=True, help_text="the mean relative change of an area")

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["rollout", "examination"], name="compared")]

    def __str__(self) -> str:
        return f"{self.request_id} in rollout {self.rollout_id}"
