from datetime import datetime
from typing import ClassVar

from django.db import models, transaction
from django.utils import timezone

from gateway.audit.chain import Head, Sealed, today
from gateway.people.models import Organisation
from pipeline.http import correlation
from pipeline.image.inspect import Header
from pipeline.schemas import Prediction, PredictOptions

REQUESTS, EVENTS = "requests", "events"  # the names of the two trails; TRAILS holds their models

SCORE_BINS = 10


class State(models.TextChoices):
    """The state of a request. Every state but the first is final."""

    RECEIVED = "received"
    SUCCEEDED = "succeeded"
    REJECTED = "rejected", "rejected: the request was at fault"
    SHED = "shed", "shed: no room for it"
    FAILED = "failed", "failed: the service was at fault"
    ABORTED = "aborted", "aborted: the client left"
    UNKNOWN = "unknown", "unknown: the gateway did not live to tell"


class Source(models.TextChoices):
    """Who sent a request: a client, or the gateway's own probe."""

    CLIENT = "client"
    PROBE = "probe", "probe: a test of the service with a golden image"


class RecordManager(models.Manager["Record"]):
    def close(self, record: "Record", beside: models.Model | None = None) -> bool:
        """Write and seal a final state, and insert the row `beside` it in the same transaction.

        Return False if the record had a final state already, which stays.
        """
        with transaction.atomic():
            head = Head.locked(REQUESTS, today())
            head.append(record)
            if record.pk is None:
                record.save(force_insert=True)
            elif not self.filter(pk=record.pk, state=State.RECEIVED).update(**record.at_the_end()):
                transaction.set_rollback(True)  # the transaction may have begun the day
                return False
            head.save()
            if beside is not None:
                beside.save(force_insert=True)
            return True

    def left_open(self, before: datetime) -> models.QuerySet["Record"]:
        return self.filter(state=State.RECEIVED, received_at__lt=before)


class Record(Sealed):
    """The record of one request to /predict/, refused ones included.

    It never holds an image, a file name, image metadata, or a key's secret. It names the key by its
    id and the person by their user name, not by foreign keys, so that it does not change with them.
    """

    request_id = models.UUIDField(unique=True)
    state = models.CharField(max_length=16, choices=State, default=State.RECEIVED)
    status = models.PositiveSmallIntegerField(null=True, help_text="HTTP; null without an answer")
    error_code = models.CharField(max_length=64, default="", blank=True)
    organisation = models.ForeignKey(
        Organisation, null=True, on_delete=models.PROTECT, help_text="null before it is known"
    )
    key_id = models.CharField(max_length=12, default="", blank=True)
    user = models.CharField(max_length=150, default="", blank=True)
    address = models.GenericIPAddressField(null=True, help_text="where the request came from")
    correlation_id = models.CharField(
        max_length=correlation.MAX_LENGTH,
        default="",
        db_default="",
        blank=True,
        help_text="the client's own, a pseudonym",
    )
    source = models.CharField(
        max_length=8, choices=Source, default=Source.CLIENT, db_default=Source.CLIENT
    )

    received_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    latency_ms = models.FloatField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="times sent upstream")
    replayed = models.BooleanField(
        default=False, help_text="answered with what an earlier request of its key was answered"
    )

    body_bytes = models.BigIntegerField(null=True, help_text="of the body as announced")
    image_bytes = models.BigIntegerField(null=True)
    image_sha256 = models.CharField(max_length=64, default="", db_default="", blank=True)
    image_format = models.CharField(max_length=8, default="", blank=True)
    image_width = models.PositiveIntegerField(null=True)
    image_height = models.PositiveIntegerField(null=True)
    image_pixels = models.BigIntegerField(null=True)

    model_name = models.CharField(max_length=200, default="", blank=True)
    model_version = models.CharField(max_length=100, default="", blank=True)
    model_engine = models.CharField(max_length=100, default="", db_default="", blank=True)
    model_precision = models.CharField(max_length=8, default="", db_default="", blank=True)
    bundle_sha256 = models.CharField(
        max_length=64,
        default="",
        db_default="",
        blank=True,
        help_text="of the model's manifest: its identity",
    )
    model_score_threshold = models.FloatField(null=True, help_text="the model's own")
    model_software = models.JSONField(null=True, help_text="versions, by the package's name")
    options = models.JSONField(
        null=True, help_text="what was asked for; null where it was refused before it was read"
    )
    ungradable_reasons = models.JSONField(
        null=True, help_text="of the image's quality; empty: gradable; null: not assessed"
    )
    detection_count = models.PositiveIntegerField(null=True)
    below_threshold = models.PositiveIntegerField(
        null=True, help_text="detections that the asked score threshold dropped"
    )
    class_counts = models.JSONField(default=dict, blank=True)
    score_counts = models.JSONField(
        default=list, blank=True, help_text=f"detections in each of {SCORE_BINS} bins from 0 to 1"
    )

    objects: ClassVar[RecordManager] = RecordManager()

    # With a database default, so that a gateway of the previous version can go on writing rows.
    added_later: ClassVar[frozenset[str]] = frozenset(
        {
            "correlation_id",
            "source",
            "model_engine",
            "model_precision",
            "bundle_sha256",
            "options",
            "below_threshold",
            "image_sha256",
            "model_score_threshold",
            "model_software",
            "ungradable_reasons",
        }
    )

    class Meta:
        ordering = ["-received_at"]
        constraints = [models.UniqueConstraint(fields=["day", "position"], name="one_request")]
        indexes = [
            models.Index(fields=["received_at"]),
            models.Index(fields=["key_id", "received_at"]),
            models.Index(fields=["organisation", "received_at"]),
            # For what was said before about the same image.
            models.Index(fields=["image_sha256"], name="record_of_image"),
            # For the sweeper: few rows are in this state at a time.
            models.Index(
                fields=["received_at"], name="record_open", condition=models.Q(state="received")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.request_id} {self.state}"

    @property
    def caller(self) -> str:
        """The name of the caller, as `Caller.name` has it; empty before it is known."""
        if self.key_id:
            return f"key:{self.key_id}"
        return f"user:{self.user}" if self.user else ""

    def set_caller(
        self, organisation: Organisation, key_id: str, user: str, source: Source
    ) -> None:
        self.organisation, self.key_id, self.user = organisation, key_id, user
        self.source = source

    def count_attempt(self) -> None:
        self.attempts += 1

    def set_image(self, size: int, sha256: str, header: Header) -> None:
        """Set what the image header says, with the sides as stored in the file."""
        self.image_bytes, self.image_sha256 = size, sha256
        self.image_format = header.format
        self.image_width, self.image_height = header.width, header.height
        self.image_pixels = header.width * header.height

    def set_options(self, options: PredictOptions) -> None:
        self.options = options.model_dump()

    def set_prediction(self, prediction: Prediction) -> None:
        # Upright, as in the answer.
        self.image_width, self.image_height = prediction.image.width, prediction.image.height
        self.model_name = prediction.model.name[:200]
        self.model_version = prediction.model.version[:100]
        self.model_engine = prediction.model.engine[:100]
        self.model_precision = prediction.model.precision
        self.bundle_sha256 = prediction.model.bundle_sha256
        self.model_score_threshold = prediction.model.score_threshold
        self.model_software = prediction.model.software
        if prediction.quality is not None and prediction.quality.gradable is not None:
            self.ungradable_reasons = list(prediction.quality.reasons)
        if prediction.is_withheld:
            return  # no count of lesions: none were looked for
        self.below_threshold = prediction.below_threshold
        self.detection_count = len(prediction.detections)
        self.class_counts = prediction.metrics.class_distribution
        bins = [min(int(score * SCORE_BINS), SCORE_BINS - 1) for score in prediction.metrics.scores]
        self.score_counts = [bins.count(number) for number in range(SCORE_BINS)]

    def at_the_end(self) -> dict[str, object]:
        """Return the fields that the end of the request sets."""
        return {name: getattr(self, name) for name in _WRITTEN_AT_THE_END}


_WRITTEN_AT_THE_END = (
    "day",
    "position",
    "seal",
    "state",
    "status",
    "error_code",
    "finished_at",
    "latency_ms",
    "attempts",
    "replayed",
    "image_bytes",
    "image_sha256",
    "image_format",
    "image_width",
    "image_height",
    "image_pixels",
    "model_name",
    "model_version",
    "model_engine",
    "model_precision",
    "bundle_sha256",
    "model_score_threshold",
    "model_software",
    "options",
    "ungradable_reasons",
    "detection_count",
    "below_threshold",
    "class_counts",
    "score_counts",
)


class Event(Sealed):
    """Anything else that an auditor asks about: who read records or signed in, changes of keys."""

    class Action(models.TextChoices):
        """The actions of events. The column has no choices: rows may be of a later version."""

        USAGE_READ = "usage.read"
        RECORD_READ = "record.read"
        EVENT_READ = "event.read"
        AUDIT_EXPORTED = "audit.exported"
        AUDIT_PRUNED = "audit.pruned"
        DATABASE_RESTORED = "database.restored"
        SESSION_BEGAN = "session.began"
        SESSION_ENDED = "session.ended"
        SESSION_REFUSED = "session.refused"
        SECOND_FACTOR_ADDED = "second_factor.added"
        SECOND_FACTOR_REMOVED = "second_factor.removed"
        SECOND_FACTOR_USED = "second_factor.used"
        SECOND_FACTOR_REFUSED = "second_factor.refused"
        SECOND_FACTOR_RESET = "second_factor.reset"
        RECOVERY_CODES_MADE = "recovery_codes.made"
        IDENTITY_LINKED = "identity.linked"
        IDENTITY_REFUSED = "identity.refused"
        KEY_ISSUED = "key.issued"
        KEY_ROTATED = "key.rotated"
        KEY_REVOKED = "key.revoked"
        PERSON_ADDED = "person.added"
        PERSON_CHANGED = "person.changed"
        PERSON_REMOVED = "person.removed"
        ORGANISATION_ADDED = "organisation.added"
        ORGANISATION_CHANGED = "organisation.changed"
        ORGANISATION_REMOVED = "organisation.removed"
        ALERT_FIRED = "alert.fired"
        ALERT_RESOLVED = "alert.resolved"
        WATCH_ALARMED = "watch.alarmed"
        WATCH_ACKNOWLEDGED = "watch.acknowledged"
        OBSERVATIONS_EXPORTED = "observations.exported"
        FEEDBACK_GIVEN = "feedback.given"
        FEEDBACK_EXPORTED = "feedback.exported"
        ROLLOUT_STARTED = "rollout.started"
        ROLLOUT_PROMOTED = "rollout.promoted"
        ROLLOUT_ABORTED = "rollout.aborted"
        ROLLOUT_ROLLED_BACK = "rollout.rolled_back"

    at = models.DateTimeField(default=timezone.now)
    action = models.CharField(max_length=40)
    actor = models.CharField(max_length=200, help_text="key:<id>, user:<name> or command")
    organisation = models.ForeignKey(Organisation, null=True, on_delete=models.PROTECT)
    address = models.GenericIPAddressField(null=True)
    subject = models.CharField(max_length=200, default="", blank=True, help_text="what was touched")

    class Meta:
        ordering = ["-at"]
        constraints = [models.UniqueConstraint(fields=["day", "position"], name="one_event")]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor}"


class AuditCheck(models.Model):
    """The result of a verification of the whole trail. It is no part of the trail, nor sealed."""

    at = models.DateTimeField(default=timezone.now)
    intact = models.BooleanField()
    faults = models.PositiveBigIntegerField()
    rows = models.PositiveBigIntegerField(help_text="sealed rows of the days found intact")

    class Meta:
        ordering = ["-at"]
        get_latest_by = "at"
        indexes = [models.Index(fields=["at"])]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {'intact' if self.intact else f'{self.faults} faults'}"


TRAILS: dict[str, type[Record | Event]] = {REQUESTS: Record, EVENTS: Event}
