from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "gateway.audit"
    label = "usage"  # names its tables and permissions in databases that exist
