from django.contrib.auth.backends import BaseBackend, ModelBackend
from django.contrib.auth.models import User

from gateway.people.models import Member


class PeopleBackend(ModelBackend):
    """Reject users of inactive organisations at sign-in and on every request."""

    def user_can_authenticate(self, user: User) -> bool:
        if not super().user_can_authenticate(user):
            return False
        organisation = Member.objects.organisation_of(user)
        return organisation is None or organisation.is_active

    # ModelBackend's own would ask the database from the event loop; these take a thread.
    aauthenticate = BaseBackend.aauthenticate
    aget_user = BaseBackend.aget_user
