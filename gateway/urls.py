from django.contrib import admin
from django.urls import include, path

from gateway.api import api
from gateway.monitor.page import operations
from gateway.monitor.views import acknowledge_watch, alerts
from gateway.signin.views.sign_in import to_sign_in
from gateway.web.views import SignOut, messages, page, session, signed_in

SESSION = path("session/", session)
MESSAGES = path("language/<slug:language>/messages.js", messages, name="messages")
API = path("", api.urls)

urlpatterns = [
    path("", page),
    path("", include("gateway.signin.urls")),
    path("logout/", SignOut.as_view()),
    path("signed-in/", signed_in),
    SESSION,
    MESSAGES,
    path("operations", operations, name="operations"),
    path("operations/alerts", alerts),
    path("operations/watch/<int:alarm>/acknowledge", acknowledge_watch, name="acknowledge-watch"),
    # One sign-in for all pages: the admin's own would ask for a password alone.
    path("admin/login/", to_sign_in),
    path("admin/", admin.site.urls),
    API,
]
