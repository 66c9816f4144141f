"""The commented lines of overlays/example, which an operator enables by removing `# `."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.integration.kubernetes.manifests import FOLDER, needs_kustomize

EXAMPLE = (FOLDER / "overlays/example/kustomization.yaml").read_text()


def enabled(text: str, first: str) -> str:
    """Return the text without the comment signs of the block that begins with this line."""
    before, found, rest = text.partition(first)
    assert found, first
    lines = (found + rest).splitlines(keepends=True)
    is_comment = [re.match(r" *# (?![A-Z])", line) is not None for line in lines]
    end = is_comment.index(False)
    return (
        before + "".join(line.replace("# ", "", 1) for line in lines[:end]) + "".join(lines[end:])
    )


def rendered(tmp_path: Path, text: str) -> str:
    """Return what kubectl makes of an overlay with this text and a serve.yaml of its own."""
    above = os.path.relpath(FOLDER, tmp_path.resolve())
    text = re.sub(r"(?m)^  - \.\./(?=\w)", "  - ../../overlays/", text)
    (tmp_path / "kustomization.yaml").write_text(text.replace("../../", f"{above}/"))
    (tmp_path / "serve.yaml").write_text("applications: of-the-clinic\n")
    done = subprocess.run(["kubectl", "kustomize", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def with_bundle() -> str:
    text = enabled(EXAMPLE + "\n", "  # - name: clinic-serve-config\n")
    return enabled(text, "# replacements:\n")


@needs_kustomize
def test_lines_for_own_bundle_replace_configuration(with_bundle, tmp_path):
    manifests = rendered(tmp_path, with_bundle)
    assert "serveConfigV2: |\n    applications: of-the-clinic\n" in manifests
    assert "clinic-serve-config" not in manifests  # it is a source only


@needs_kustomize
def test_example_leaves_no_address_for_documentation(tmp_path):
    assert "192.0.2." not in rendered(tmp_path, EXAMPLE)


@needs_kustomize
def test_patches_name_addresses_of_own_database_and_redis(tmp_path):
    text = re.sub(r"(?m)^.*components/data.*\n", "", EXAMPLE)
    assert "192.0.2.1" in rendered(tmp_path, text)
    for first in ("gateway-to-database", "kuberay-to-head"):
        text = enabled(text, f"  # - target: {{kind: NetworkPolicy, name: {first}}}\n")
    manifests = rendered(tmp_path, text)
    assert "192.0.2." not in manifests
    assert [manifests.count(f"cidr: 10.0.0.2{last}/32") for last in (0, 1)] == [1, 2]
