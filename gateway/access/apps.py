from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "gateway.access"
    label = "keys"  # names its tables and permissions in databases that exist

    def ready(self) -> None:
        from gateway.access import receivers  # noqa: F401, importing it connects them
