"""The details of errors in the reader's language, also of those that hold values."""

import os
import subprocess
import sys

import pytest
from django.utils.translation import override

from gateway.access.limits import LimitStatus, raise_if_exceeded
from gateway.details import translated
from gateway.error_page import detail_of
from gateway.errors import HeadersTooLarge, MethodNotAllowed, TooManyRequests
from gateway.http_headers import bound_headers
from pipeline.errors import LesionserveError
from pipeline.schemas import Problem
from serve_app.paths import ROOT


def rate() -> LesionserveError:
    with pytest.raises(TooManyRequests) as caught:
        raise_if_exceeded([LimitStatus("caller", 60, 0, 5, exceeded=True)])
    return caught.value


def headers() -> LesionserveError:
    with pytest.raises(HeadersTooLarge) as caught:
        bound_headers([(b"content-type", b"x" * 2000)])
    return caught.value


def detail_in(language: str, error: LesionserveError) -> str:
    with override(language):
        return detail_of(Problem.of(error, "none", None))


@pytest.mark.parametrize("language", ["es", "fr", "pt", "sw"])
@pytest.mark.parametrize(
    ("make", "values"),
    [
        (rate, ["60"]),
        (headers, ["32768", "1024"]),
        (lambda: MethodNotAllowed("GET, HEAD"), ["GET, HEAD"]),
    ],
    ids=["rate", "headers", "methods"],
)
def test_detail_with_values_is_translated_with_them(language, make, values):
    error = make()
    detail = detail_in(language, error)
    assert detail != str(error)
    assert "%(" not in detail
    assert all(value in detail for value in values)
    assert detail_in("en", error) == str(error)


def test_detail_without_translation_is_left_to_english():
    error = LesionserveError("Something that nobody marked for translation: 7.")
    assert detail_in("es", error) == ""
    assert detail_in("en", error) == str(error)
    with override("es"):
        assert translated(str(error)) is None


def test_settings_are_read_before_django_has_settings():
    """What the settings import must not ask for them: it would get those that are read so far."""
    environment = {"PATH": os.environ["PATH"], "LESIONSERVE_DEBUG": "1"}
    command = [sys.executable, "-c", "import gateway.settings"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
