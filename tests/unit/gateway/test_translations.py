"""The translations of the pages: complete, agreed upon, and compiled."""

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
DOMAINS = ["django", "djangojs"]
CATALOGS = [
    pytest.param(language, domain, id=f"{language}-{domain}")
    for language in LANGUAGES
    for domain in DOMAINS
]


def catalog_of(language: str, domain: str, gateway: Path = GATEWAY) -> polib.POFile:
    return polib.pofile(str(gateway / "locale" / language / "LC_MESSAGES" / f"{domain}.po"))


def translations_of(entry: polib.POEntry) -> list[str]:
    return list(entry.msgstr_plural.values()) or [entry.msgstr]


def placeholders_of(text: str) -> Counter[str]:
    return Counter(re.findall(r"%\(\w+\)[sd]|%[sd]", text))


def test_each_language_has_a_folder():
    assert {path.name for path in (GATEWAY / "locale").iterdir()} == set(LANGUAGES)


@pytest.mark.parametrize(("language", "domain"), CATALOGS)
def test_no_message_is_untranslated_or_fuzzy(language: str, domain: str):
    catalog = catalog_of(language, domain)
    assert len(catalog) > 0
    wrong = [entry.msgid for entry in catalog if entry.fuzzy or not all(translations_of(entry))]
    assert wrong == []
    assert catalog.obsolete_entries() == []


@pytest.mark.parametrize(("language", "domain"), CATALOGS)
def test_translations_keep_placeholders(language: str, domain: str):
    for entry in catalog_of(language, domain):
        for text in translations_of(entry):
            assert placeholders_of(text) == placeholders_of(entry.msgid), entry.msgid


@pytest.mark.parametrize(("language", "domain"), CATALOGS)
def test_compiled_file_is_that_of_its_source(language: str, domain: str):
    path = GATEWAY / "locale" / language / "LC_MESSAGES" / f"{domain}.mo"
    with path.open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for entry in catalog_of(language, domain):
        if entry.msgid_plural:
            for count in (1, 2):
                text = compiled.ngettext(entry.msgid, entry.msgid_plural, count)
                assert text in translations_of(entry)
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
        for language in LANGUAGES:
            now = {entry.msgid for entry in catalog_of(language, domain, copy)}
            stored = {entry.msgid for entry in catalog_of(language, domain)}
            assert stored == now, "make messages"
