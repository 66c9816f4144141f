"""The pages of a public demo: no sign-in, no administration, no operations page."""

from django.urls import path

from gateway.urls import API, MESSAGES, SESSION
from gateway.web.views import public_demo

urlpatterns = [path("", public_demo), SESSION, MESSAGES, API]
