from django.contrib import admin
from django.urls import path

from gateway.api import api
from gateway.monitor.page import operations
from gateway.monitor.views import acknowledge_watch, alerts
from gateway.web.views import SignIn, SignOut, page, session, signed_in

SESSION = path("session/", session)
API = path("", api.urls)

urlpatterns = [
    path("", page),
    path("login/", SignIn.as_view()),
    path("logout/", SignOut.as_view()),
    path("signed-in/", signed_in),
    SESSION,
    path("operations", operations, name="operations"),
    path("operations/alerts", alerts),
    path("operations/watch/<int:alarm>/acknowledge", acknowledge_watch, name="acknowledge-watch"),
    path("admin/", admin.site.urls),
    API,
]
