from django.apps import AppConfig


class UsageConfig(AppConfig):
    name = "gateway.usage"
    label = "tallies"  # `usage` is the audit package's, from when the two were one
