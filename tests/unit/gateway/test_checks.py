import pytest
from django.core.checks import run_checks

from gateway.checks import images_travel_encrypted, uploads_stay_in_memory


def test_gateway_passes_its_checks():
    assert run_checks() == []


def test_check_refuses_uploads_written_to_disk(settings):
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = settings.MAX_UPLOAD_BYTES - 1
    assert [message.id for message in uploads_stay_in_memory(None)] == ["gateway.E001"]


@pytest.mark.parametrize(
    ("url", "warnings"),
    [
        ("http://localhost:8000", []),
        ("http://127.0.0.1:8000", []),
        ("http://[::1]:8000", []),
        ("https://ingress.example", []),
        ("http://ingress.example", ["gateway.W001"]),
        ("http://10.0.0.1", ["gateway.W001"]),
    ],
)
def test_check_warns_of_plain_http_to_another_host(settings, url, warnings):
    settings.UPSTREAM_URL = url
    assert [message.id for message in images_travel_encrypted(None)] == warnings
