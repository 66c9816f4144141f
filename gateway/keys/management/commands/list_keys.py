from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from gateway.keys.models import ApiKey


class Command(BaseCommand):
    help = "Lists every API key, one tab-separated line each: id, state, dates, name."

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        self.stdout.write("\t".join(["ID", "STATE", "CREATED", "EXPIRES", "LAST USED", "NAME"]))
        for key in ApiKey.objects.all():
            dates = [_day(key.created_at), _day(key.expires_at), _day(key.last_used_at)]
            # The name last, and on one line whatever it holds.
            name = " ".join(key.name.split())
            self.stdout.write("\t".join([key.id, key.state(now), *dates, name]))


def _day(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment:%Y-%m-%d}"
