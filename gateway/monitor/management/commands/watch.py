import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db.models import QuerySet

from gateway import terminal
from gateway.audit.events import COMMAND
from gateway.monitor.models import WatchAlarm, WatchState
from gateway.monitor.watch_actions import acknowledge
from gateway.monitor.watch_words import sentence
from gateway.monitor.watcher import replay, run_watches, unlike_stored


class Command(terminal.Command):
    help = (
        "Shows what the watch of the model says, acknowledges an alarm, or computes all verdicts "
        "again from the stored observations. Replay exits with 1 where they differ."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--organisation", help="default: all")
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("status", help="every watch, and its alarms that are open")
        actions.add_parser("replay", help="compute the verdicts again, and compare them")
        seen = actions.add_parser("acknowledge", help="an alarm was seen: its test begins anew")
        seen.add_argument("id", type=int)

    def handle(
        self,
        *args: Any,
        action: str,
        organisation: str | None,
        id: int | None = None,
        **options: Any,
    ) -> None:
        states = WatchState.objects.select_related("organisation").order_by("organisation", "pk")
        if organisation is not None:
            states = states.filter(organisation__name=organisation)
            if not states:
                raise CommandError("no model is watched in an organisation of this name")
        if action == "status":
            self._show(states)
        elif action == "replay":
            self._replay(states)
        else:
            assert id is not None, "the parser asks for it"
            self._acknowledge(id)

    def _show(self, states: QuerySet[WatchState]) -> None:
        run_watches()
        for state in states.all():
            examinations = state.state.get("examinations", 0)
            self.stdout.write(f"{state}: {examinations} examinations, alpha {state.alpha:g}")
            for alarm in _alarms(state).filter(acknowledged_at=None):
                self.stdout.write(f"  {alarm.pk}: {sentence(alarm)}")
                self.stdout.write(f"     images: {', '.join(alarm.examples)}")

    def _replay(self, states: QuerySet[WatchState]) -> None:
        differs = False
        for state in states:
            watch, alarms = replay(state, state.until)
            faults = unlike_stored(state, watch, alarms)
            differs |= bool(faults)
            verdict = "; ".join(faults) or f"the same, {len(alarms)} alarms"
            self.stdout.write(f"{state}: {watch.examinations} examinations, {verdict}")
        if differs:
            sys.exit(1)

    def _acknowledge(self, id: int) -> None:
        alarm = WatchAlarm.objects.filter(pk=id).first()
        if alarm is None:
            raise CommandError("there is no alarm with this id")
        if not acknowledge(alarm, COMMAND):
            raise CommandError("it was acknowledged before")


def _alarms(state: WatchState) -> QuerySet[WatchAlarm]:
    return WatchAlarm.objects.filter(
        organisation_id=state.organisation_id, bundle_sha256=state.bundle_sha256
    )
