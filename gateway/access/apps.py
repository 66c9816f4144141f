from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "gateway.access"
    label = "keys"  # the name of its tables and permissions in existing databases

    def ready(self) -> None:
        from gateway.access import receivers  # noqa: F401, the import connects the receivers
