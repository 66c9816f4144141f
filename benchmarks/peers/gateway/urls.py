from django.urls import path

from benchmarks.peers.gateway.views import healthz, predict

urlpatterns = [path("predict/", predict), path("healthz", healthz)]
