"""Bundles that differ from the demo bundle in one thing."""

import shutil
from pathlib import Path
from typing import Any

import yaml

from cluster.paths import DEMO_BUNDLE
from pipeline.bundle.bundle import CONFIG_FILE
from pipeline.bundle.manifest import MANIFEST_FILE, read_manifest, sha256_of


def with_threshold(folder: Path, threshold: float) -> Path:
    """Copy the demo bundle with another score threshold, which drops lesions of lower scores."""
    shutil.copytree(DEMO_BUNDLE, folder)
    config = yaml.safe_load((folder / CONFIG_FILE).read_text())
    config["MODEL"]["ROI_HEADS"]["SCORE_THRESH_TEST"] = threshold
    (folder / CONFIG_FILE).write_text(yaml.safe_dump(config))
    files = read_manifest(folder).files | {CONFIG_FILE: sha256_of(folder / CONFIG_FILE)}
    return _resealed(folder, files=files, version="strict")


def renamed(folder: Path) -> Path:
    """Copy the demo bundle under another version: the same answers from another bundle."""
    shutil.copytree(DEMO_BUNDLE, folder)
    return _resealed(folder, version="same")


def _resealed(folder: Path, **changes: Any) -> Path:
    manifest = read_manifest(folder).model_copy(update=changes)
    (folder / MANIFEST_FILE).unlink()
    manifest.sealed().write(folder)
    return folder
