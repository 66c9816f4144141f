import hmac
from datetime import datetime, timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from gateway.access.token import Token
from gateway.people.models import Organisation
from gateway.people.scopes import PREDICT

# Recent enough to find unused keys, at one write a minute for each key.
_LAST_USED_PRECISION = timedelta(minutes=1)

_NO_HASH = "0" * 64


def _predict_only() -> list[str]:
    return [PREDICT]


class ApiKeyManager(models.Manager["ApiKey"]):
    def authenticate(self, token: Token, now: datetime) -> "ApiKey | None":
        """Return the key of a valid token, or None.

        An unknown id costs the same query, hash and comparison as a known one, so that the time
        taken does not reveal which ids exist.
        """
        keys = self.select_related("organisation", "owner").filter(id=token.id)
        key = next(iter(keys.order_by()), None)  # there is at most one, and sorting it takes time
        expected = key.secret_hash if key else _NO_HASH
        genuine = hmac.compare_digest(expected, token.digest())
        if key is None or not genuine or not key.opens(now):
            return None
        if key.last_used_at is None or now - key.last_used_at > _LAST_USED_PRECISION:
            self.filter(id=key.id).update(last_used_at=now)
        return key


class ApiKey(models.Model):
    """A program's key for the API. It is never deleted, so that records keep their meaning."""

    id = models.CharField(primary_key=True, max_length=12)
    name = models.CharField(max_length=200, help_text="what it is for")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        help_text="a person; the key works only while they are active",
    )
    scopes = models.JSONField(default=_predict_only)
    requests_per_minute = models.PositiveIntegerField(
        null=True, help_text="empty: the gateway's default"
    )
    requests_per_day = models.PositiveIntegerField(null=True, help_text="empty: no quota")
    secret_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True)
    rotated_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)

    objects: ClassVar[ApiKeyManager] = ApiKeyManager()

    class Meta:
        ordering = ["created_at"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.id})"

    def is_active(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def opens(self, now: datetime) -> bool:
        """Return whether the key, its organisation and its owner are active."""
        owned = self.owner is None or self.owner.is_active
        return self.is_active(now) and self.organisation.is_active and owned

    def state(self, now: datetime) -> str:
        if self.revoked_at is not None:
            return "revoked"
        if not self.is_active(now):
            return "expired"
        return "active" if self.opens(now) else "disabled"


class DailyUsage(models.Model):
    """The requests of one caller or organisation on one UTC day, where these have a quota."""

    subject = models.CharField(max_length=200)
    day = models.DateField()
    requests = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "keys_spent"
        constraints = [models.UniqueConstraint(fields=["subject", "day"], name="one_spent_a_day")]

    def __str__(self) -> str:
        return f"{self.subject} on {self.day}: {self.requests}"
