from django.apps import AppConfig


class SignInConfig(AppConfig):
    name = "gateway.signin"
