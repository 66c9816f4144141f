"""Compare the serving of a standard R50-FPN with its peers; some 25 minutes on two cores.

At one image a second, the last of 16 clients is answered within the profile's deadline of 30 s.
"""

from benchmarks.report import Result
from benchmarks.serving import FOLDER, MOST_CLIENTS, Workload, compare
from benchmarks.serving_figures import R50_FPN, result
from benchmarks.standard import jpeg, scene, standard_bundle

SEEDS = (11, 12)


def run() -> Result:
    return result("serving-r50", compare(workload()))


def workload() -> Workload:
    bundle = standard_bundle(FOLDER, int8=False)
    images = [FOLDER / "serving" / f"scene{seed}.jpg" for seed in SEEDS]
    for seed, path in zip(SEEDS, images, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(scene(seed)))
    return Workload(R50_FPN, bundle, images, {1: 3, MOST_CLIENTS: 16})
