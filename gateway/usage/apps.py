from django.apps import AppConfig


class UsageConfig(AppConfig):
    name = "gateway.usage"
    label = "tallies"  # `usage` is the label of the audit package, from when the two were one
