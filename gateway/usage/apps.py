from django.apps import AppConfig


class UsageConfig(AppConfig):
    name = "gateway.usage"

    def ready(self) -> None:
        from gateway.usage import events  # noqa: F401, importing it connects the receivers
