from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "gateway.audit"
    label = "usage"  # the name of its tables and permissions in existing databases
