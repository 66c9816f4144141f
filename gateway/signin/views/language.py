from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import check_for_language
from django.views.decorators.http import require_POST
from django.views.i18n import set_language

from gateway.signin.models import Profile


@require_POST
def choose_language(request: HttpRequest) -> HttpResponseBase:
    """Keep the form's language in a cookie, and for a signed-in person in their profile, too."""
    language = request.POST.get("language", "")
    if request.user.is_authenticated and check_for_language(language):
        Profile.objects.update_or_create(user=request.user, defaults={"language": language})
    return set_language(request)
