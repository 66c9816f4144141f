from datetime import datetime
from typing import Any

from django.utils import timezone

from gateway import terminal
from gateway.access.models import ApiKey

_HEAD = ["ID", "STATE", "CREATED", "EXPIRES", "LAST USED", "SCOPES", "ORGANISATION", "NAME"]


class Command(terminal.Command):
    help = "Lists every API key, one tab-separated line each."

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        self.stdout.write("\t".join(_HEAD))
        for key in ApiKey.objects.select_related("organisation", "owner"):
            dates = [_day(key.created_at), _day(key.expires_at), _day(key.last_used_at)]
            # Names come last, and are printed on one line whatever they hold.
            names = [" ".join(name.split()) for name in (key.organisation.name, key.name)]
            cells = [key.id, key.state(now), *dates, ",".join(key.scopes), *names]
            self.stdout.write("\t".join(cells))


def _day(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment:%Y-%m-%d}"
