from django.db import models

from gateway.people.models import Organisation


class WriteProbe(models.Model):
    """The one row that readiness writes, to check that a record could be written."""

    padding = models.TextField(help_text="as much as a record and its indexes may need")


class IdempotentRequest(models.Model):
    """One use of an idempotency key by an organisation: first leased, then answered.

    It holds hashes of the client's key and request, and the encrypted answer, for minutes.
    """

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE)
    key_hash = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=64)
    answer = models.BinaryField(null=True, help_text="encrypted; null while it is being made")
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "proxy_claim"
        constraints = [
            models.UniqueConstraint(fields=["organisation", "key_hash"], name="one_claim")
        ]

    def __str__(self) -> str:
        return f"{self.organisation}: {self.key_hash[:8]}"
