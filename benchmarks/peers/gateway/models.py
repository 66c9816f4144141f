from django.db import models


class ApiKey(models.Model):
    """Keep the SHA-256 (hex) of a client's key, and not the key."""

    sha256 = models.CharField(primary_key=True, max_length=64)
    client = models.CharField(max_length=200)


class AuditRow(models.Model):
    """Record one request. `client` is empty without a known key, `image_sha256` without a file."""

    at = models.DateTimeField()
    client = models.CharField(max_length=200)
    request_id = models.CharField(max_length=32, unique=True)
    status = models.PositiveSmallIntegerField()
    duration_ms = models.FloatField()
    image_sha256 = models.CharField(max_length=64)
