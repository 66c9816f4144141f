import json

import pytest

from gateway.errors import UpstreamFault
from gateway.monitor.golden import parse_golden
from pipeline.bundle.golden_check import GoldenReport
from tests.integration.gateway.client import jpeg
from tests.integration.gateway.ingress import DIGEST, golden


def test_cases_are_read_with_images_and_lesions():
    read = parse_golden(json.dumps(golden(jpeg()) | {"a later field": 1}).encode())
    assert (read.bundle_sha256, read.score_threshold) == (DIGEST, 0.5)
    assert [case.name for case in read.cases] == ["a.jpg", "b.jpg"]
    assert read.cases[0].image == jpeg()
    assert read.cases[0].expected[0].label == "HSIL"


def test_fake_cases_have_form_of_real_ones():
    assert GoldenReport.model_validate(golden(jpeg())).cases


def test_model_without_golden_cases_is_refused():
    with pytest.raises(UpstreamFault):
        parse_golden(GoldenReport(bundle_sha256=DIGEST, score_threshold=0.5, cases=[])
                     .model_dump_json().encode())  # fmt: skip


def mask(counts: str) -> dict[str, object]:
    return {"format": "rle", "size": [48, 64], "counts": counts}


@pytest.mark.parametrize(
    "change",
    [
        {"bundle_sha256": ""},
        {"score_threshold": 2},
        {"cases": []},
        {"cases": [{"name": "a\nb", "image": "AAAA", "expected": []}]},
        {"cases": [{"name": "a", "image": "", "expected": []}]},
        {"cases": [{"name": "a", "image": "no base64 at all!", "expected": []}]},
        {"cases": [{"name": "a", "image": "AAAA", "expected": [{}]}]},
    ],
    ids=str,
)
def test_anything_else_is_refused(change):
    with pytest.raises(UpstreamFault):
        parse_golden(json.dumps(golden(jpeg()) | change).encode())


@pytest.mark.parametrize("counts", ["0o", "P", "é", "0\x00", "p0"])
def test_mask_that_would_be_read_past_its_end_is_refused(counts):
    content = golden(jpeg())
    content["cases"][1]["expected"][0]["mask"] = mask(counts)
    with pytest.raises(UpstreamFault):
        parse_golden(json.dumps(content).encode())


def test_lesion_without_mask_is_accepted():
    content = golden(jpeg())
    content["cases"][0]["expected"][0] |= {"mask": None, "mask_area": None}
    assert parse_golden(json.dumps(content).encode()).cases[0].expected[0].mask is None
