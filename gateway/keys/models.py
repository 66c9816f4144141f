import hmac
from datetime import datetime, timedelta
from typing import ClassVar

from django.db import models
from django.utils import timezone

from gateway.keys.token import Token

# Fresh enough to find unused keys by; one write a minute for each key, not one a request.
_LAST_USED_PRECISION = timedelta(minutes=1)

_NO_HASH = "0" * 64


class ApiKeyManager(models.Manager["ApiKey"]):
    def issue(self, name: str, expires_at: datetime | None = None) -> tuple["ApiKey", Token]:
        """The token is to be shown once; only a hash of it is stored."""
        token = Token.generate()
        key = self.create(id=token.id, name=name, secret_hash=token.digest(), expires_at=expires_at)
        return key, token

    def authenticate(self, token: Token, now: datetime) -> "ApiKey | None":
        """The key that the token opens, or None.

        An unknown id takes the same query, hash and comparison as a known one, so that the
        time taken tells no one which ids exist.
        """
        key = self.filter(id=token.id).first()
        expected = key.secret_hash if key else _NO_HASH
        genuine = hmac.compare_digest(expected, token.digest())
        if key is None or not genuine or not key.is_active(now):
            return None
        if key.last_used_at is None or now - key.last_used_at > _LAST_USED_PRECISION:
            self.filter(id=key.id).update(last_used_at=now)
        return key


class ApiKey(models.Model):
    """Who may call the API. A key is never deleted, so that records keep their meaning."""

    id = models.CharField(primary_key=True, max_length=12)
    name = models.CharField(max_length=200, help_text="whose key it is, or what it is for")
    secret_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True)
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

    def state(self, now: datetime) -> str:
        if self.revoked_at is not None:
            return "revoked"
        return "active" if self.is_active(now) else "expired"

    def revoke(self, now: datetime) -> None:
        """Takes effect with the next request. The first revocation's time stands."""
        if self.revoked_at is None:
            self.revoked_at = now
            self.save(update_fields=["revoked_at"])
