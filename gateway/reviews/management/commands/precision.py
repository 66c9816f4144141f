from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from gateway import terminal
from gateway.people.models import Organisation
from gateway.reviews.precision import judged_models, precision_in_use
from gateway.reviews.reference import reference_precision

_HEAD = ["MODEL", "PRECISION", "FROM", "TO", "REFERENCE", "CASES", "VERDICTS", "CLASS"]


class Command(terminal.Command):
    help = (
        "Prints the precision in use of each judged model, one tab-separated line for each class: "
        "the share of the lesions that were accepted, and the bounds that hold at all times."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--organisation", help="default: all")

    def handle(self, *args: Any, organisation: str | None = None, **options: Any) -> None:
        owner = None
        if organisation is not None:
            owner = Organisation.objects.filter(name=organisation).first()
            if owner is None:
                raise CommandError("there is no organisation of this name")
        self.stdout.write("\t".join(_HEAD))
        for model in judged_models():
            references = reference_precision(model.bundle_sha256) or {}
            for label, precision in sorted(precision_in_use(model, owner).items()):
                reference = references.get(label)
                shares = [f"{share:.3f}" for share in (precision.value, *precision.bounds)]
                shares.append("unknown" if reference is None else f"{reference:.3f}")
                counts = [str(precision.cases), str(precision.verdicts)]
                self.stdout.write("\t".join([model.bundle_sha256[:12], *shares, *counts, label]))
