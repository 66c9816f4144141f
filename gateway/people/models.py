import re
from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

DEFAULT_NAME = "default"

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def one_line(name: str) -> None:
    """Raise ValidationError for text of more than one line."""
    if not name.strip() or _CONTROLS.search(name):
        raise ValidationError("A name is one line of text, without control characters.")


class Organisation(models.Model):
    """A clinic or a hospital. Each key, person and record belongs to one; others cannot see them.

    The organisation `default` serves a gateway with a single clinic.
    """

    name = models.CharField(max_length=200, unique=True, validators=[one_line])
    is_active = models.BooleanField(
        default=True, help_text="without it, none of its keys and people is let in"
    )
    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, help_text="of all its keys and people; empty: the gateway's default"
    )
    requests_per_day = models.PositiveIntegerField(
        null=True, blank=True, help_text="in UTC days; empty: no quota"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class MemberManager(models.Manager["Member"]):
    def organisation_of(self, user: "AbstractBaseUser | AnonymousUser") -> Organisation | None:
        member = self.filter(user=user.pk).select_related("organisation").first()
        return None if member is None else member.organisation


class Member(models.Model):
    """The membership of a person in an organisation. The person is Django's user, the role its
    group.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT)

    objects: ClassVar[MemberManager] = MemberManager()

    def __str__(self) -> str:
        return f"{self.user} of {self.organisation}"
