import copy

import pytest
import yaml

from serve_app.candidate import NAME, candidate_document
from serve_app.config import parse_profile
from serve_app.paths import ROOT

PROFILES = sorted((ROOT / "configs/serve").glob("*.yaml"))


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_candidate_of_each_shipped_profile_is_valid_and_small(path):
    document = yaml.safe_load(path.read_text())
    before = copy.deepcopy(document)
    profile = parse_profile(path, candidate_document(document))
    assert document == before, "the document of the stable application stays"
    application = profile.application
    assert (application.name, application.route_prefix) == (NAME, "/candidate")
    for size in application.args.sizes.values():
        assert (size.num_replicas or 1) == 1
        assert size.autoscaling is None or size.autoscaling.min_replicas <= 1


def test_candidate_keeps_prefix_and_drops_digest():
    document = yaml.safe_load((ROOT / "configs/serve/local.yaml").read_text())
    document["applications"][0]["route_prefix"] = "/lesions"
    document["applications"][0]["args"]["model"]["bundle_sha256"] = "0" * 64
    application = candidate_document(document)["applications"][0]
    assert application["route_prefix"] == "/lesions/candidate"
    assert "bundle_sha256" not in application["args"]["model"]
