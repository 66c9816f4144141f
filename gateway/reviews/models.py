import hashlib

from django.db import models
from django.utils import timezone

from gateway.audit.models import Record


class Given(models.Model):
    """What a person, or the program of a key, says about an answer.

    A row is never changed, but for when a later one of the same author took its place. It goes when
    its record is pruned.
    """

    record = models.ForeignKey(Record, on_delete=models.CASCADE)
    author = models.CharField(max_length=200, help_text="key:<id> or user:<name>")
    at = models.DateTimeField(default=timezone.now)
    replaced_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True


class Verdict(Given):
    """A verdict on one lesion of an answer."""

    class Kind(models.TextChoices):
        ACCEPT = "accept"
        REJECT = "reject", "reject: it is no lesion"
        RELABEL = "relabel", "relabel: it is one of another class"

    lesion = models.PositiveIntegerField(help_text="its id in the answer")
    label = models.CharField(max_length=200, help_text="its class in the answer")
    kind = models.CharField(max_length=8, choices=Kind)
    new_label = models.CharField(max_length=200, default="", blank=True, help_text="of a relabel")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["record", "author", "lesion"],
                condition=models.Q(replaced_at__isnull=True),
                name="one_verdict",
            )
        ]

    def __str__(self) -> str:
        return f"lesion {self.lesion} of {self.record_id}: {self.kind} by {self.author}"


class Missed(Given):
    """Lesions of one class that an answer lacks: their number, or one with its box."""

    label = models.CharField(max_length=200)
    count = models.PositiveIntegerField(default=1)
    box = models.JSONField(null=True, help_text="XYXY pixels of the upright image")

    class Meta:
        verbose_name_plural = "missed"
        indexes = [
            models.Index(
                fields=["record"],
                name="missed_now",
                condition=models.Q(replaced_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.count} {self.label} of {self.record_id} by {self.author}"


class Version(models.Model):
    """All that one author said about an answer, as it was after one request; never changed.

    The SHA-256 of its content is in the event of the giving, which is sealed. The rows of
    `Verdict` and `Missed` hold what of it is counted.
    """

    record = models.ForeignKey(Record, on_delete=models.CASCADE)
    author = models.CharField(max_length=200, help_text="key:<id> or user:<name>")
    number = models.PositiveIntegerField(help_text="of the author's versions, from 1")
    at = models.DateTimeField(default=timezone.now)
    content = models.TextField(help_text="canonical JSON, as gateway.reviews.feedback.Content")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["record", "author", "number"], name="one_version")
        ]

    def __str__(self) -> str:
        return f"version {self.number} of {self.record_id} by {self.author}"

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the content, in hex."""
        return hashlib.sha256(self.content.encode()).hexdigest()
