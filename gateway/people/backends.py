from typing import Any

from django.conf import settings
from django.contrib.auth.backends import BaseBackend, ModelBackend
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest

from gateway.people.models import Member


class PeopleBackend(ModelBackend):
    """Reject users of inactive organisations at sign-in and on every request.

    A right password is answered as a wrong one where the settings leave passwords to superusers.
    """

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **credentials: Any,
    ) -> User | None:
        user = super().authenticate(request, username, password, **credentials)
        if isinstance(user, User) and (user.is_superuser or settings.PASSWORDS == "all"):
            return user
        return None

    def user_can_authenticate(self, user: User | AnonymousUser | None) -> bool:
        if user is None or not super().user_can_authenticate(user):
            return False
        organisation = Member.objects.organisation_of(user)
        return organisation is None or organisation.is_active

    # ModelBackend's own methods would query the database from the event loop; these use a thread.
    # They take credentials by keyword only, as Django passes them.
    aauthenticate = BaseBackend.aauthenticate  # type: ignore[assignment]  # see above
    aget_user = BaseBackend.aget_user
