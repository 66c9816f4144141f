"""The list of what an image holds."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cluster.images.sbom import debian_packages, document, python_packages

AT = datetime(2026, 11, 26, tzinfo=UTC)
STATUS = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u10
Description: GNU C Library
 shared libraries

Package: removed
Status: deinstall ok config-files
Architecture: all
Version: 1.0
"""


@pytest.fixture
def site_packages(tmp_path: Path) -> Path:
    for name, version, extra in (
        ("lesionserve", "0.1.0", "License-Expression: Apache-2.0\n"),
        ("Typing_Extensions", "4.16.0", "License: " + "a whole text " * 50 + "\n"),
    ):
        info = tmp_path / f"{name}-{version}.dist-info"
        info.mkdir()
        head = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n"
        (info / "METADATA").write_text(head + extra)
    return tmp_path


def test_document_lists_both_kinds_of_packages(site_packages, tmp_path):
    status = tmp_path / "status"
    status.write_text(STATUS)
    components = [*python_packages(site_packages), *debian_packages(status)]
    written = json.loads(document(components, AT))
    assert written["bomFormat"] == "CycloneDX"
    assert written["metadata"]["component"]["purl"] == "pkg:pypi/lesionserve@0.1.0"
    assert written["metadata"]["component"]["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert sorted(component["purl"] for component in written["components"]) == [
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64",
        "pkg:pypi/typing-extensions@4.16.0",
    ]


def test_document_is_the_same_each_time(site_packages):
    first, second = (document(list(python_packages(site_packages)), AT) for _ in range(2))
    assert first == second


def test_image_without_lesionserve_has_no_document(tmp_path):
    with pytest.raises(LookupError, match="lesionserve"):
        document([], AT)
