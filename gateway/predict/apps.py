from django.apps import AppConfig


class PredictConfig(AppConfig):
    name = "gateway.predict"
    label = "proxy"  # names its tables and permissions in databases that exist
