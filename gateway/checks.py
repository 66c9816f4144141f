import ipaddress
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register


@register(Tags.security)
def uploads_stay_in_memory(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    if settings.FILE_UPLOAD_MAX_MEMORY_SIZE >= settings.MAX_UPLOAD_BYTES:
        return []
    return [
        Error(
            "An upload may be larger than FILE_UPLOAD_MAX_MEMORY_SIZE.",
            hint="Django would write patients' images to disk.",
            id="gateway.E001",
        )
    ]


@register(Tags.security, deploy=True)
def images_travel_encrypted(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    url = urlsplit(settings.UPSTREAM_URL)
    if url.scheme == "https" or _is_this_machine(url.hostname or ""):
        return []
    return [
        Warning(
            "LESIONSERVE_UPSTREAM_URL is plain HTTP to another machine.",
            hint="Images and the service token would cross the network unencrypted.",
            id="gateway.W001",
        )
    ]


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
