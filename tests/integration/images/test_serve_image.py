"""The image of the inference half on a CPU: built, and its model checked, without rights."""

import json

import pytest

from tests.integration.images.base import base_image
from tests.integration.images.builds import MARK, VERSION, built
from tests.integration.images.containers import ANY_USER, run_in
from tests.integration.images.engine import inspect, podman, skip_unless_usable

pytestmark = pytest.mark.images
MOST_BYTES = 1_000_000_000  # on top of the base


@pytest.fixture(scope="module")
def image() -> str:
    skip_unless_usable()
    return built("serve-cpu")


def test_image_is_small(image):
    size = inspect(image)["Size"] - inspect(base_image())["Size"]
    print(f"lesionserve-serve-cpu: {size / 1e6:.0f} MB on top of the base")
    assert size < MOST_BYTES


def test_demo_reproduces_golden_cases_in_each_precision(image):
    """As another user, on a read-only file system, and without a network."""
    demo = "/opt/lesionserve/.venv/lib/python3.11/site-packages/weights/demo"
    for precision in ("float32", "bfloat16", "int8"):
        command = f"lesionserve verify {demo} --precision {precision} 2>&1"
        verified = run_in(image, "sh", "-c", command, options=ANY_USER)
        assert "golden cases reproduced" in verified, verified


def test_image_has_every_module_of_the_graph(image):
    code = (
        "import ray.serve, fastapi, cv2, simplejpeg, openvino, opentelemetry.sdk, serve_app.app, "
        "cluster.deploy.deploy, cluster.images.serve_head, importlib.util as u; "
        "print([n for n in ('django', 'torch', 'torchvision', 'pip') if u.find_spec(n)])"
    )
    assert run_in(image, "python", "-c", code, options=ANY_USER) == "[]"


def test_labels_and_sbom_name_version(image):
    assert inspect(image)["Labels"]["org.opencontainers.image.version"] == VERSION
    bom = json.loads(run_in(image, "cat", "/opt/lesionserve/sbom.cdx.json"))
    names = {component["purl"].partition("@")[0] for component in bom["components"]}
    assert {"pkg:pypi/openvino", "pkg:pypi/ray", "pkg:deb/debian/libc6"} <= names
    assert "pkg:pypi/torch" not in names


def test_no_setting_of_the_builder_is_in_configuration(image):
    assert MARK not in podman("image", "inspect", image)
    assert MARK not in podman("history", "--no-trunc", image)
