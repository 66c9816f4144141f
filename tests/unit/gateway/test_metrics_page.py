"""docs/metrics.md against the metrics that there are."""

import re

from prometheus_client import REGISTRY

from gateway import (
    asgi,  # noqa: F401, so that every metric there is is registered
    host_metrics,
)
from gateway.metrics import SECONDS
from gateway.monitor import watch_metrics
from gateway.predict import metrics
from gateway.reviews import precision as reviews
from gateway.reviews.precision import Precision
from serve_app.paths import ROOT

PAGE = ROOT / "docs" / "metrics.md"


def names_on_page(prefix: str) -> set[str]:
    """Return the names in the first column of the page's tables, without their labels."""
    return set(re.findall(rf"^\| `({prefix}\w+)(?:\{{|`)", PAGE.read_text(), re.MULTILINE))


def test_page_lists_each_metric_of_gateway():
    registered = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in REGISTRY.collect()
        if family.name.startswith("lesionserve_gateway_")
    }
    assert names_on_page("lesionserve_gateway_") == registered


def test_page_lists_labels_and_type_of_each_metric():
    text = PAGE.read_text()
    metrics._detections_of("HSIL")
    host_metrics._CERTIFICATE.labels("tested")
    watch_metrics.ALARMS.labels("tested", "tested")
    reviews._show("HSIL", Precision(0.5, 0.0, 1.0, 1, 1), 0.5)
    for family in REGISTRY.collect():
        if not family.name.startswith("lesionserve_gateway_"):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        row = re.search(rf"^\| `{name}(?:\{{(.*?)\}})?` \| (\w+) \|", text, re.MULTILINE)
        assert row is not None, name
        shown = set(row[1].split(",")) if row[1] else set()
        assert (row[2], shown) == (family.type, labels), name
    host_metrics._CERTIFICATE.remove("tested")
    watch_metrics.ALARMS.remove("tested", "tested")


def test_page_lists_each_metric_of_replicas():
    sources = "".join(path.read_text() for path in (ROOT / "serve_app").rglob("*.py"))
    in_code = {f"ray_{name}" for name in re.findall(r'"(lesionserve_[a-z_]+)"', sources)}
    assert in_code <= names_on_page("ray_lesionserve_")


def test_page_shows_edges_of_latency():
    assert " ".join(f"{edge:g}" for edge in SECONDS) in PAGE.read_text()
