"""What the reports say in words: of reasons, verdicts, authors, numbers and times."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

# The reasons for which an image is not gradable, of the model's limits and of people.
_REASONS: Mapping[str, Promise] = {
    "too_dark": gettext_lazy("The image is too dark."),
    "too_bright": gettext_lazy("The image is too bright."),
    "overexposed": gettext_lazy("Parts of the image are overexposed."),
    "out_of_focus": gettext_lazy("The image is out of focus."),
    "glare": gettext_lazy("The image has too much glare."),
    "low_contrast": gettext_lazy("The image has too little contrast."),
    "noisy": gettext_lazy("The image is too grainy."),
    "colour_cast": gettext_lazy("The colours of the image are off."),
    "dark_corners": gettext_lazy("The corners of the image are too dark."),
    "too_small": gettext_lazy("The image has too few pixels."),
    "other": gettext_lazy("There is another reason."),
}

_VERDICTS: Mapping[str, Promise] = {
    "accept": gettext_lazy("accepted"),
    "reject": gettext_lazy("rejected: no lesion"),
    "relabel": gettext_lazy("of another class"),
}


def reason(name: str) -> str:
    """Return the sentence of a reason; a later version may give one that is not known here."""
    if name in _REASONS:
        return str(_REASONS[name])
    return _("The image is not good enough (%(reason)s).") % {"reason": name.replace("_", " ")}


def verdict(kind: str) -> str:
    return str(_VERDICTS[kind])


def author(name: str) -> str:
    """Return who is behind `user:<name>` or `key:<id>`."""
    kind, _colon, rest = name.partition(":")
    return rest if kind == "user" else _("API key %(id)s") % {"id": rest}


def time(at: datetime | None) -> str:
    return "-" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


class Labels:
    """Say the class labels in the language of a report, and know their order.

    class_names: of the model, the least severe first; empty where they are not known.
    """

    def __init__(self, translations: Mapping[str, str], class_names: Sequence[str] = ()) -> None:
        self._translations = translations
        self._severity = {label: number for number, label in enumerate(class_names)}

    def __call__(self, label: str) -> str:
        """Return the translation with the model's own label, or that alone where there is none."""
        text = self._translations.get(label, label)
        return label if text == label else f"{text} ({label})"

    def rank(self, label: str) -> int:
        """Return the place of a class: the most severe first, and those not known last."""
        return -self._severity.get(label, -1)

    def lack_any_of(self, labels: Mapping[str, int]) -> bool:
        return not labels.keys() <= self._translations.keys()
