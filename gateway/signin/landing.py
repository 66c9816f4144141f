from django.contrib.auth.models import User
from django.urls import reverse

from gateway.people.models import Member
from gateway.people.roles import scopes_of
from gateway.people.scopes import PREDICT

# Where people land in the admin and on the operations page: the permission, and the view.
_STAFF_PAGES = (
    ("monitor.view_alert", "operations"),
    ("usage.view_record", "admin:usage_record_changelist"),
)

IMAGES = "/"


def landing_of(user: User) -> str:
    """Return the page on which a person lands after signing in.

    Whoever may do several things lands on the first: images (clinician), operations (operator),
    records (auditor). A person with the role admin may do all of them, and lands on images.
    """
    roles = user.groups.values_list("name", flat=True)
    if PREDICT in scopes_of(roles) and Member.objects.organisation_of(user) is not None:
        return IMAGES
    if user.is_staff:
        for permission, view in _STAFF_PAGES:
            if user.has_perm(permission):
                return reverse(view)
    return IMAGES
