from django.apps import AppConfig


class ReviewsConfig(AppConfig):
    name = "gateway.reviews"
    label = "reviews"
