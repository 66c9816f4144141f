from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from gateway import terminal
from gateway.audit.events import COMMAND, record_event
from gateway.audit.models import Event
from gateway.people.models import Organisation
from gateway.reviews.export.coco import coco_text
from gateway.reviews.export.cvat import cvat_text
from gateway.reviews.export.label_studio import config_of, label_studio_text
from gateway.reviews.export.selection import Choice, Selection, files_by_digest, select
from pipeline.text import counted, few, quoted

_WRITERS = {"coco": coco_text, "label-studio": label_studio_text, "cvat": cvat_text}


class Command(terminal.Command):
    help = (
        "Writes what reviewers said about answers as annotations of the images, for training. "
        "Images are named by their SHA-256, or as the hospital's own files. Reviews without each "
        "verdict and each outline are left out, unless they are asked for. For Label Studio, the "
        "labelling configuration goes to stdout."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=tuple(_WRITERS), required=True)
        parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="a new file")
        parser.add_argument("--organisation", help="default: all")
        parser.add_argument("--reviewer", help="user:<name> or key:<id>; default: all")
        parser.add_argument(
            "--since", type=date.fromisoformat, metavar="YYYY-MM-DD", help="reviews of that day on"
        )
        parser.add_argument(
            "--classes", help="the order of the classes: A,B,C; default: by their names"
        )
        parser.add_argument(
            "--images",
            type=Path,
            metavar="DIR",
            help="the hospital's own files: name images by them, and leave out all others",
        )
        parser.add_argument(
            "--prefix",
            default="",
            help="put before each name, such as /data/local-files/?d=cervix/ for Label Studio",
        )
        parser.add_argument(
            "--incomplete",
            action="store_true",
            help="also reviews with gaps, to complete them in a tool; not for training",
        )

    def handle(
        self,
        *args: Any,
        format: str,
        output: Path,
        organisation: str | None = None,
        reviewer: str | None = None,
        since: date | None = None,
        classes: str | None = None,
        images: Path | None = None,
        prefix: str = "",
        incomplete: bool = False,
        **options: Any,
    ) -> None:
        owner = _owner(organisation)
        begin = None if since is None else datetime.combine(since, time(), UTC)
        choice = Choice(owner, reviewer, begin, incomplete, _files(images), prefix)
        selection = select(choice)
        names = _classes(selection, classes)
        subject = f"{format} since {since} of {reviewer}: {len(selection.images)} images"
        record_event(Event.Action.FEEDBACK_EXPORTED, COMMAND, owner, subject)
        _write(output, _WRITERS[format](selection, names))
        if format == "label-studio":
            for line in config_of(names).splitlines():
                self.stdout.write(line)
        self._report(selection)

    def _report(self, selection: Selection) -> None:
        """Say on stderr what the file holds, and what it does not."""
        disputed = sum(not image.is_agreed for image in selection.images)
        exported = counted(len(selection.images), "image")
        self.stderr.write(f"{exported}, {disputed} of them with reviewers who disagree")
        for left_out in selection.left_out:
            reasons = "; ".join(left_out.reasons)
            who = f"{left_out.review.request_id} by {left_out.review.reviewer}"
            self.stderr.write(f"left out: {who}: {reasons}")


def _owner(name: str | None) -> Organisation | None:
    if name is None:
        return None
    owner = Organisation.objects.filter(name=name).first()
    if owner is None:
        raise CommandError("there is no organisation of this name")
    return owner


def _files(folder: Path | None) -> dict[str, str] | None:
    if folder is None:
        return None
    if not folder.is_dir():
        raise CommandError(f"{folder} is no folder")
    try:
        return files_by_digest(folder)
    except OSError as error:
        raise CommandError(f"{error.filename} cannot be read: {error.strerror}") from error
    except UnicodeEncodeError as error:
        raise CommandError(f"a file in {folder} has a name that is no text") from error


def _classes(selection: Selection, listed: str | None) -> Sequence[str]:
    """Return the classes in their order. Raise CommandError where the list lacks one."""
    if listed is None:
        return sorted(selection.labels)
    classes = [name.strip() for name in listed.split(",")]
    if lacking := sorted(selection.labels - set(classes)):
        raise CommandError(f"--classes lacks {few(map(quoted, lacking))}")
    return classes


def _write(path: Path, text: str) -> None:
    """Write a new file. Raise CommandError where it exists or cannot be written."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise CommandError(f"{path} exists; name a new file") from None
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error
