from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from gateway.audit.events import record_reading
from gateway.audit.models import Event
from gateway.people.admin import OrganisationAdmin
from gateway.people.models import Organisation
from gateway.people.scoped_admin import OwnOrganisation, ReadOnly
from gateway.query import pairs
from gateway.usage.charts import charts
from gateway.usage.models import Tally
from gateway.usage.period import Period
from gateway.usage.summary import summarise
from pipeline.errors import BadRequest
from pipeline.http.query import read_query


@admin.register(Tally)
class UsageAdmin(ReadOnly[Tally], OwnOrganisation[Tally]):
    """The usage of one organisation as charts, instead of a list of counts."""

    def get_urls(self) -> list[URLPattern]:
        """Return the route of the charts only: a single count has no page."""
        view = self.admin_site.admin_view(self.changelist_view)
        return [path("", view, name="usage_tally_changelist")]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        query = request.GET.copy()
        asked = query.pop("organisation", [])
        seen = OrganisationAdmin(Organisation, self.admin_site).get_queryset(request)
        # As text: the query may hold anything.
        organisation = next(
            (organisation for organisation in seen if str(organisation.pk) in asked), seen.first()
        )
        try:
            period = read_query(pairs(query), Period)
        except BadRequest as error:
            self.message_user(request, str(error), messages.ERROR)
            period = Period()
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": "Usage",
            "period": period,
            "organisations": seen,
            "organisation": organisation,
        }
        if organisation is not None:
            days = f"{period.first} to {period.last}"
            record_reading(Event.Action.USAGE_READ, request, f"{organisation}: {days}")
            context["summary"] = summarise(organisation, period.first, period.last)
            context["charts"] = charts(context["summary"])
        return TemplateResponse(request, "usage/summary.html", context)
