from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import models
from django.utils import timezone


class AuthenticatorApp(models.Model):
    """A person's authenticator app: the secret that both sides compute codes from (TOTP)."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    secret = models.BinaryField(help_text="encrypted")
    last_step = models.PositiveBigIntegerField(help_text="of the last code that was accepted")
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"authenticator app of {self.user}"


class Passkey(models.Model):
    """A passkey: the public key of a device or a password manager of a person (WebAuthn)."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="passkeys"
    )
    name = models.CharField(max_length=60)
    credential_id = models.CharField(max_length=1400, unique=True, help_text="in base64url")
    credential = models.BinaryField(help_text="AttestedCredentialData, with the public key")
    sign_count = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["created_at"]

    def __str__(self) -> str:
        return f"passkey {self.name} of {self.user}"


class RecoveryCode(models.Model):
    """A code that stands in for a lost second factor, once. Its row is deleted when it is used."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="recovery_codes"
    )
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256")

    def __str__(self) -> str:
        return f"recovery code of {self.user}"


class Identity(models.Model):
    """The account of an OpenID provider with which a person signs in.

    A provider knows its people by `subject`, which neither changes nor is given to another person;
    names and e-mail addresses do and are.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="identities"
    )
    issuer = models.CharField(max_length=500)
    subject = models.CharField(max_length=255)
    follows_groups = models.BooleanField(
        help_text="the provider's groups made this account, and give it its role"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["issuer", "subject"], name="one_identity"),
            models.UniqueConstraint(fields=["user", "issuer"], name="one_identity_a_person"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} of {self.issuer}"


class OpenSession(models.Model):
    """A session of a person, so that they can see and end theirs. It ends with Django's row."""

    session = models.OneToOneField(Session, on_delete=models.CASCADE)  # its key is secret
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    began_at = models.DateTimeField(default=timezone.now)
    address = models.GenericIPAddressField(null=True)
    browser = models.CharField(max_length=60)

    class Meta:
        ordering = ["-began_at"]

    def __str__(self) -> str:
        return f"session of {self.user} since {self.began_at:%Y-%m-%d %H:%M:%S}"


class Profile(models.Model):
    """What a person chose for all of their sessions."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True
    )
    language = models.CharField(max_length=8)

    def __str__(self) -> str:
        return f"profile of {self.user}"
