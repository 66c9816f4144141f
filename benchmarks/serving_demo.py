"""Compare the serving of the demo bundle with its peers; some fifteen minutes on two cores."""

from pathlib import Path

from benchmarks.plot import plot
from benchmarks.report import Result
from benchmarks.serving import MOST_CLIENTS, Workload, compare
from benchmarks.serving_figures import DEMO, pooled, result
from cluster.paths import DEMO_BUNDLE, DEMO_IMAGE

SVG = Path(__file__).with_name("serving.svg")


def run() -> Result:
    comparison = compare(workload())
    plot(pooled(comparison.rounds), SVG, f"the {DEMO}")
    return result("serving-demo", comparison)


def workload() -> Workload:
    images = [*sorted((DEMO_BUNDLE / "golden").glob("*.jpg")), DEMO_IMAGE]
    return Workload(DEMO, DEMO_BUNDLE, images, {1: 28, 4: 70, MOST_CLIENTS: 280})
