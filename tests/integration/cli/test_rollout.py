import pytest

from cluster.cli.rollout import _digest
from cluster.paths import DEMO_BUNDLE
from pipeline.bundle.manifest import read_manifest
from tests.integration.cli.command import run


@pytest.fixture(autouse=True)
def _without_database(monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)


def test_candidate_is_named_by_folder_or_digest():
    digest = read_manifest(DEMO_BUNDLE).digest
    assert _digest(str(DEMO_BUNDLE)) == digest
    assert _digest(digest) == digest


def test_folder_without_bundle_is_misuse(tmp_path):
    result = run("rollout", "start", tmp_path, "--mode", "shadow", "--data", tmp_path)
    assert result.exit_code == 2
    assert "no bundle" in result.output


@pytest.mark.parametrize("act", ["status", "promote", "abort"])
def test_folder_that_is_of_no_stack_is_misuse(tmp_path, act):
    result = run("rollout", act, "--data", tmp_path)
    assert result.exit_code == 2
    assert "is not the folder" in " ".join(result.output.split())
    assert list(tmp_path.iterdir()) == [], "nothing is made there"
