from django.contrib import admin
from django.urls import path

from gateway.api import api
from gateway.monitor.views import alerts
from gateway.web.views import SignIn, SignOut, page, session

urlpatterns = [
    path("", page),
    path("login/", SignIn.as_view()),
    path("logout/", SignOut.as_view()),
    path("session/", session),
    path("operations/alerts", alerts),
    path("admin/", admin.site.urls),
    path("", api.urls),
]
