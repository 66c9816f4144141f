from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "gateway.access"
    label = "keys"  # names its tables and permissions in databases that exist
