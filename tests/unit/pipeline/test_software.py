from importlib.metadata import version
from typing import get_args

import pytest

from pipeline import software
from pipeline.engines.base import EngineName


def test_versions_are_those_of_installed_packages():
    versions = software.versions("openvino")
    assert list(versions) == [
        *("lesionserve", "numpy", "opencv-python-headless", "pillow", "simplejpeg"),
        "openvino",
    ]
    assert versions["numpy"] == version("numpy")
    assert versions["openvino"] == version("openvino")


def test_each_engine_names_what_runs_it():
    assert set(software.OF_ENGINE) == set(get_args(EngineName)) - {"auto"}


def test_package_without_metadata_is_unknown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(software, "OF_ENGINE", {"another": ("no-such-package",)})
    assert software.versions("another")["no-such-package"] == "unknown"
