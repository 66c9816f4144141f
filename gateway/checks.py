from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register

from gateway.variables import is_this_machine


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
    if url.scheme == "https" or is_this_machine(url.hostname or ""):
        return []
    return [
        Warning(
            "LESIONSERVE_UPSTREAM_URL is plain HTTP to another machine.",
            hint="Images and the service token would cross the network unencrypted.",
            id="gateway.W001",
        )
    ]


@register(Tags.security, deploy=True)
def certificates_are_used(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Warn of certificates for the ingress where plain HTTP shows and verifies none."""
    if urlsplit(settings.UPSTREAM_URL).scheme == "https":
        return []
    certificates = {
        "LESIONSERVE_UPSTREAM_CERTIFICATE": settings.UPSTREAM_CERTIFICATE,
        "LESIONSERVE_UPSTREAM_CA": settings.UPSTREAM_CA,
    }
    return [
        Warning(
            f"{name} is set, but LESIONSERVE_UPSTREAM_URL is plain HTTP.",
            hint="It is not used. Set the https:// URL of the nginx in front of the ingress, such "
            "as https://ingress.example:8443, or remove the setting.",
            id="gateway.W002",
        )
        for name, path in certificates.items()
        if path is not None
    ]


@register(Tags.security, deploy=True)  # Django leaves checks of Tags.database out
def database_is_named(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Name the database, without its password. Warn where nobody chose it.

    A setting that is lost on its way would else be replaced by an empty database.
    """
    database = settings.DATABASES["default"]
    if database["ENGINE"] == "django.db.backends.sqlite3":
        name = f"the SQLite file {database['NAME']}"
    else:
        port = f":{database['PORT']}" if database["PORT"] else ""
        host = database["HOST"] or "the local socket"
        name = f"{database['NAME']} of PostgreSQL at {host}{port}"
    if settings.DATABASE_IS_GIVEN:
        return [Info(f"The database is {name}.", id="gateway.I001")]
    return [
        Warning(
            f"DATABASE_URL is not set. The database is {name}.",
            hint="Set DATABASE_URL. If gateway.env has it, a shell has cut it: put a value with "
            "&, $, # or a space between single quotes.",
            id="gateway.W003",
        )
    ]


@register(Tags.security, deploy=True)
def sign_in_takes_more_than_a_password(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    if settings.OPENID is not None or settings.REQUIRE_SECOND_FACTOR or settings.PUBLIC_DEMO_KEY:
        return []
    return [
        Warning(
            "A password alone lets people in.",
            hint="Set LESIONSERVE_REQUIRE_SECOND_FACTOR, or LESIONSERVE_OIDC_ISSUER for your "
            "single sign-on.",
            id="gateway.W004",
        )
    ]
