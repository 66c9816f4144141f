"""The translations of the reports hold each text of the code, with its placeholders."""

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from gateway.reviews.report.report import Language
from serve_app.paths import ROOT

REVIEWS = ROOT / "gateway" / "reviews"
TRANSLATED = [language for language in get_args(Language) if language != "en"]


def texts() -> Iterator[list[str]]:
    """Yield each text that is marked for translation: its singular, and its plural if any."""
    for path in REVIEWS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                number = {"_": 1, "gettext_lazy": 1, "ngettext": 2}.get(node.func.id, 0)
                values = [ast.literal_eval(argument) for argument in node.args[:number]]
                if values:
                    yield values


def catalogue(language: str) -> Path:
    return REVIEWS / "locale" / language / "LC_MESSAGES" / "django.mo"


def placeholders(text: str) -> list[str]:
    return sorted(re.findall(r"%\(\w+\)[sd]|%%", text))


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_is_translated(language):
    with catalogue(language).open("rb") as file:
        translations = gettext.GNUTranslations(file)._catalog
    known = list(texts())
    assert len(known) > 60
    for forms in known:
        keys = forms if len(forms) == 1 else [(forms[0], 0), (forms[0], 1)]
        for key, text in zip(keys, forms, strict=True):
            assert placeholders(translations[key]) == placeholders(text)
