import re
from pathlib import Path

import pytest

from gateway.static_address import static_address


@pytest.fixture
def gateway(tmp_path: Path) -> Path:
    folder = tmp_path / "gateway" / "web" / "static" / "web"
    folder.mkdir(parents=True)
    (folder / "a.js").write_text("1")
    (folder / "b.css").write_text("2")
    return tmp_path / "gateway"


def test_address_follows_from_content_alone(gateway: Path, tmp_path: Path):
    address = static_address(gateway)
    assert re.fullmatch(r"/static/[0-9a-f]{12}/", address)
    moved = gateway.rename(tmp_path / "elsewhere")
    assert static_address(moved) == address


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "a.js").write_text("3"),
        lambda folder: (folder / "a.js").rename(folder / "c.js"),
        lambda folder: (folder / "deep").mkdir() or (folder / "deep" / "c.svg").write_text(""),
        lambda folder: (folder / "b.css").unlink(),
    ],
    ids=["content", "name", "new file", "removed file"],
)
def test_every_change_of_a_file_changes_address(gateway: Path, change):
    before = static_address(gateway)
    change(gateway / "web" / "static" / "web")
    assert static_address(gateway) != before


def test_versions_of_other_packages_change_address(gateway: Path, monkeypatch):
    before = static_address(gateway)
    monkeypatch.setattr("gateway.static_address.version", lambda name: "0")
    assert static_address(gateway) != before


def test_templates_and_code_are_not_in_address(gateway: Path):
    before = static_address(gateway)
    (gateway / "web" / "views.py").write_text("")
    assert static_address(gateway) == before
