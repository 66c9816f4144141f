from django import template
from django.conf import settings

register = template.Library()


@register.inclusion_tag("web/public_demo.html")
def public_demo_banner() -> dict[str, bool]:
    """Show on a page of a public demo, at the top, that it is one; nothing else on other gateways.

    Nothing on the page closes it, and no other setting hides it.
    """
    return {"is_public_demo": settings.PUBLIC_DEMO_KEY is not None}
