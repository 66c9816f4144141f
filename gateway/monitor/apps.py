from django.apps import AppConfig


class MonitorConfig(AppConfig):
    name = "gateway.monitor"
    label = "monitor"
