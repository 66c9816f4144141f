"""The translations of pages, scripts and reports: complete, with all placeholders, and compiled."""

import gettext
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import polib
import pytest
from django.conf import settings

from serve_app.paths import ROOT

GATEWAY = ROOT / "gateway"
LANGUAGES = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
DOMAINS = ("django", "djangojs")
FOLDERS = {"pages": GATEWAY / "locale", "reports": GATEWAY / "reviews" / "locale"}
CATALOGS = [
    pytest.param(path, id=f"{name}-{language}-{path.stem}")
    for name, folder in FOLDERS.items()
    for language in LANGUAGES
    for path in sorted((folder / language / "LC_MESSAGES").glob("*.po"))
]
# What a translation must have as often as its text: placeholders, and the tags of a template.
_MARKS = re.compile(r"%\(\w+\)[sd]|%[sd]|%%|\{\w+\}|<[^<>]+>")


def read(path: Path) -> polib.POFile:
    return polib.pofile(str(path))


def translations_of(entry: polib.POEntry) -> list[tuple[str, str]]:
    """Return each translation with its English text. The first form is that of one in all."""
    if not entry.msgid_plural:
        return [(entry.msgid, entry.msgstr)]
    first, *others = (text for _, text in sorted(entry.msgstr_plural.items()))
    return [(entry.msgid, first), *((entry.msgid_plural, text) for text in others)]


def marks_of(text: str) -> Counter[str]:
    return Counter(_MARKS.findall(text))


@pytest.mark.parametrize("folder", FOLDERS.values(), ids=FOLDERS)
def test_each_language_has_a_folder(folder: Path):
    assert {path.name for path in folder.iterdir()} == set(LANGUAGES)


def test_pages_and_scripts_have_catalogs():
    names = {(path.parts[-3], path.stem) for path in FOLDERS["pages"].rglob("*.po")}
    assert names == {(language, domain) for language in LANGUAGES for domain in DOMAINS}


@pytest.mark.parametrize("path", CATALOGS)
def test_no_message_is_untranslated_or_fuzzy(path: Path):
    catalog = read(path)
    assert len(catalog) > 0
    wrong = [
        entry.msgid
        for entry in catalog
        if entry.fuzzy or not all(text for _, text in translations_of(entry))
    ]
    assert wrong == []
    assert catalog.obsolete_entries() == []


@pytest.mark.parametrize("path", CATALOGS)
def test_translations_keep_placeholders_and_tags(path: Path):
    for entry in read(path):
        for english, text in translations_of(entry):
            assert marks_of(text) == marks_of(english), text


@pytest.mark.parametrize("path", CATALOGS)
def test_counted_texts_have_all_forms(path: Path):
    catalog = read(path)
    (number,) = re.findall(r"nplurals=(\d)", catalog.metadata["Plural-Forms"])
    for entry in catalog:
        assert not entry.msgid_plural or len(entry.msgstr_plural) == int(number), entry.msgid


@pytest.mark.parametrize("path", CATALOGS)
def test_compiled_file_is_that_of_its_source(path: Path):
    with path.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for entry in read(path):
        if entry.msgid_plural:
            for count in (1, 2):
                text = compiled.ngettext(entry.msgid, entry.msgid_plural, count)
                assert text in entry.msgstr_plural.values()
        else:
            assert compiled.gettext(entry.msgid) == entry.msgstr


def test_catalogs_hold_every_message_of_the_pages(tmp_path: Path):
    if shutil.which("xgettext") is None:
        pytest.skip("gettext is not installed (Debian: gettext)")
    copy = tmp_path / "gateway"
    shutil.copytree(GATEWAY, copy, ignore=shutil.ignore_patterns("__pycache__", "*.mo"))
    for domain in DOMAINS:
        command = [
            sys.executable,
            "-m",
            "django",
            "makemessages",
            "--domain",
            domain,
            "--no-obsolete",
        ]
        locales = [part for language in LANGUAGES for part in ("--locale", language)]
        subprocess.run([*command, *locales], cwd=copy, check=True, capture_output=True)
    for path in copy.rglob("*.po"):
        stored = read(GATEWAY / path.relative_to(copy))
        now = {entry.msgid for entry in read(path)}
        assert {entry.msgid for entry in stored} == now, "make messages"
