"""Which images an export holds, and what it leaves out and why."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from django.db.models import QuerySet

from gateway.audit.models import Record
from gateway.people.models import Organisation
from gateway.reviews.export.reviewed import Review, ReviewedImage, review_of
from gateway.reviews.standing import reviewed_records, standings_of

_NO_DIGEST = "the record holds no digest of the image"
_NO_FILE = "no file in the folder of images has this digest"


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be exported.

    since: of reviews of which something was said at that time or later. incomplete: also reviews
    with gaps. files: the names of the hospital's own files by SHA-256; None names images by it.
    prefix: of each name.
    """

    organisation: Organisation | None = None
    reviewer: str | None = None
    since: datetime | None = None
    incomplete: bool = False
    files: Mapping[str, str] | None = None
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A review that is not exported."""

    review: Review
    sha256: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """The chosen images by digest, the classes of their models, and what was left out."""

    images: tuple[ReviewedImage, ...]
    labels: frozenset[str]
    left_out: tuple[LeftOut, ...]


@dataclass(slots=True)
class _Image:
    """An image while its reviews are gathered."""

    width: int
    height: int
    reviews: list[Review] = field(default_factory=list)


def select(choice: Choice) -> Selection:
    """Return the reviewed images; blocking. Answers on the same file are one image."""
    images: dict[str, _Image] = {}
    labels: set[str] = set()
    left_out: list[LeftOut] = []
    for record, review in _reviews(choice):
        digest = record.image_sha256
        if reasons := tuple(_reasons(choice, digest, review)):
            left_out.append(LeftOut(review, digest, reasons))
            continue
        labels.update(record.class_counts)
        image = images.setdefault(digest, _Image(record.image_width or 0, record.image_height or 0))
        image.reviews.append(review)
    chosen = tuple(_reviewed(choice, digest, images[digest]) for digest in sorted(images))
    return Selection(chosen, frozenset(labels), tuple(left_out))


def files_by_digest(folder: Path) -> dict[str, str]:
    """Return the path of each file in the folder and below, relative to it, by its SHA-256.

    Of files with the same content, the first by name counts. Raise OSError, and UnicodeEncodeError
    for a name that is no text.
    """
    files: dict[str, str] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        name = path.relative_to(folder).as_posix()
        name.encode()
        files.setdefault(digest, name)
    return files


def _reviews(choice: Choice) -> Iterator[tuple[Record, Review]]:
    """Yield each review of the choice with its record, in the order of the records."""
    for record in _records(choice).iterator(chunk_size=500):
        for standing in standings_of(record):
            is_other = choice.reviewer not in (None, standing.author)
            if is_other or (choice.since is not None and standing.at < choice.since):
                continue
            yield record, review_of(record, standing)


def _records(choice: Choice) -> QuerySet[Record]:
    records = reviewed_records()
    if choice.organisation is not None:
        records = records.filter(organisation=choice.organisation)
    return records.order_by("received_at", "pk")


def _reasons(choice: Choice, digest: str, review: Review) -> Iterator[str]:
    """Yield why a review is left out; nothing where it is exported."""
    if not digest:
        yield _NO_DIGEST
    elif choice.files is not None and digest not in choice.files:
        yield _NO_FILE
    if not choice.incomplete:
        yield from review.gaps


def _reviewed(choice: Choice, digest: str, image: _Image) -> ReviewedImage:
    reviews: Sequence[Review] = sorted(image.reviews, key=lambda review: review.at)
    name = digest if choice.files is None else choice.files[digest]
    file_name = f"{choice.prefix}{name}"
    return ReviewedImage(digest, image.width, image.height, file_name, tuple(reviews))
