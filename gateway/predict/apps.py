from django.apps import AppConfig


class PredictConfig(AppConfig):
    name = "gateway.predict"
    label = "proxy"  # the name of its tables and permissions in existing databases
