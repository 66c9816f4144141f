import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
django = get_asgi_application()

# What follows imports models, so Django has to be set up before.
from gateway.lifespan import Lifespan  # noqa: E402
from gateway.predict.door import Door  # noqa: E402
from gateway.predict.handler import BareHandler  # noqa: E402

application = Lifespan(Door(django, BareHandler()))
