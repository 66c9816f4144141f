import json
import re
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError

from gateway import terminal
from gateway.audit.events import COMMAND
from gateway.monitor.models import Rollout
from gateway.monitor.rollouts import actions
from gateway.monitor.rollouts.actions import RolloutError, Terms
from gateway.monitor.rollouts.summary import Summary, lines
from gateway.people.models import Organisation

_DIGEST = re.compile("[0-9a-f]{64}")
_TERMS = Terms()


class Command(terminal.Command):
    help = (
        "Tries a candidate bundle beside the stable one, and says how it does. The candidate is "
        "the second application of the serving half, at /candidate."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        start = acts.add_parser("start", help="compare the candidate, or let it answer some images")
        start.add_argument("bundle", help="the digest of the candidate's bundle")
        start.add_argument("--mode", choices=Rollout.Mode.values, required=True)
        start.add_argument("--percent", type=int, default=100, help="of the examinations [100]")
        start.add_argument(
            "--organisation",
            action="append",
            default=[],
            help="whose images take part; repeatable [all]",
        )
        for name, about in (
            ("alpha", "chance that a good candidate is ever rolled back"),
            ("max-disagreement", "accepted mean share of an image's lesions that differ"),
            ("max-errors", "accepted share of images on which the candidate fails"),
            ("max-slow", "accepted share of images on which it is slow"),
            ("slow-factor", "slow: longer than so many times the stable model"),
            ("patience-s", "seconds until the candidate counts as failed on an image"),
        ):
            default = getattr(_TERMS, name.replace("-", "_"))
            start.add_argument(
                f"--{name}", type=float, default=default, help=f"{about} [{default}]"
            )
        status = acts.add_parser("status", help="show the last rollout, and its tests")
        status.add_argument("--json", action="store_true")
        acts.add_parser("promote", help="decide that the candidate becomes the stable model")
        abort = acts.add_parser("abort", help="end the rollout")
        abort.add_argument("--reason", default="", help="for the audit trail")

    def handle(self, *args: Any, act: str, **options: Any) -> None:
        try:
            getattr(self, f"_{act}")(options)
        except RolloutError as error:
            raise CommandError(str(error)) from error

    def _start(self, options: dict[str, Any]) -> None:
        digest = options["bundle"]
        if not _DIGEST.fullmatch(digest):
            raise CommandError(
                "the digest of a bundle is 64 hexadecimal digits, as verify shows it"
            )
        if not 1 <= options["percent"] <= 100:
            raise CommandError("--percent is from 1 to 100")
        terms = Terms(**{name: options[name] for name in Terms.__dataclass_fields__})
        organisations = _organisations(options["organisation"])
        mode = Rollout.Mode(options["mode"])
        actions.start(digest, mode, options["percent"], organisations, terms, by=COMMAND)
        self.stderr.write(
            f"Started. Images take part once /candidate answers from the bundle {digest[:12]}."
        )

    def _status(self, options: dict[str, Any]) -> None:
        rollout = Rollout.objects.first()
        if rollout is None:
            raise CommandError("there has been no rollout")
        summary = Summary.of(rollout)
        if options["json"]:
            self.stdout.write(json.dumps(summary.model_dump(mode="json")))
        else:
            for line in lines(summary):
                self.stdout.write(line)

    def _promote(self, options: dict[str, Any]) -> None:
        rollout = actions.promote(by=COMMAND)
        self.stderr.write(
            f"Decided. Deploy the bundle {rollout.candidate_sha256[:12]} as the stable one now; "
            "the rollout ends when it serves."
        )

    def _abort(self, options: dict[str, Any]) -> None:
        actions.abort(options["reason"], by=COMMAND)
        self.stderr.write("Aborted. No image goes to the candidate any more.")


def _organisations(names: Sequence[str]) -> list[Organisation]:
    organisations = list(Organisation.objects.filter(name__in=names))
    if missing := set(names) - {organisation.name for organisation in organisations}:
        raise CommandError(f"no organisation has the name {', '.join(sorted(missing))}")
    return organisations
