from django.contrib.auth.backends import BaseBackend, ModelBackend
from django.contrib.auth.models import User

from gateway.people.models import Member


class PeopleBackend(ModelBackend):
    """Lets in whom their organisation lets in, when they sign in and with each request after."""

    def user_can_authenticate(self, user: User) -> bool:
        if not super().user_can_authenticate(user):
            return False
        organisation = Member.objects.organisation_of(user)
        return organisation is None or organisation.is_active

    # ModelBackend's own would ask the database from the event loop; these take a thread.
    aauthenticate = BaseBackend.aauthenticate
    aget_user = BaseBackend.aget_user
