from pathlib import Path

import pytest

from pipeline.bundle.manifest import read_manifest
from pipeline.bundle.profile import PROFILE_FILE, read_profile
from pipeline.errors import BundleError
from pipeline.observation import observe
from serve_app.demo_bundle import DEMO_SHA256, require_demo
from serve_app.paths import ROOT
from tests.unit.pipeline.bundle.test_profile import answer

DEMO = read_manifest(ROOT / "weights" / "demo")


def test_pinned_digest_is_that_of_demo_bundle():
    assert DEMO.digest == DEMO_SHA256
    require_demo(DEMO, Path("weights/demo"))


def test_profile_of_demo_bundle_has_every_statistic():
    profile = read_profile(ROOT / "weights" / "demo" / PROFILE_FILE)
    observed = observe(answer(0.9).model_copy(update={"embedding_distance": 2.0}))
    names = {group: set(statistics) for group, statistics in observed.items()}
    names["classes"] = set(DEMO.class_names)
    assert {group: set(known) for group, known in profile.per_image.items()} == names


def test_bundle_called_demo_is_not_taken_for_it():
    other = DEMO.model_copy(update={"files": {"model.pth": "0" * 64}}).sealed()
    with pytest.raises(BundleError) as raised:
        require_demo(other, Path("weights/demo"))
    assert str(raised.value).startswith("weights/demo holds demo 1.6.0, and a public demo serves")
    assert "docs/deploy.md" in str(raised.value)
