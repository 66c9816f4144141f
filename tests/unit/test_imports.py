"""The direction of imports, read from the source: see "Packages" in docs/design.md."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from serve_app.paths import ROOT

# Each may import itself and what stands before it.
LAYERS = (
    "pipeline.text",
    "pipeline.errors",
    "pipeline.rounding",
    "pipeline.secret_files",
    "pipeline.tracing",
    "pipeline.instances",
    "pipeline.scores",
    "pipeline.http",
    "pipeline.schema",
    "pipeline.model_info",
    "pipeline.software",
    "pipeline.schemas",
    "pipeline.lesion_boxes",
    "pipeline.observation",
    "pipeline.comparison",
    "pipeline.embedding",
    "pipeline.class_names",
    "pipeline.image",
    "pipeline.engines",
    "pipeline.postprocess",
    "pipeline.predictor",
    "pipeline.bundle",
    "serve_app",
    # The gateway: what every package of it may use,
    "gateway.betting",
    "gateway.details",
    "gateway.errors",
    "gateway.certificates",
    "gateway.variables",
    "gateway.role_names",
    "gateway.sign_in_variables",
    "gateway.environment",
    "gateway.logs",
    "gateway.static_address",
    "gateway.terminal",
    "gateway.single_flight",
    "gateway.addresses",
    "gateway.encryption",
    "gateway.context",
    "gateway.responses",
    "gateway.query",
    "gateway.metrics_folder",
    "gateway.metrics",
    "gateway.host_metrics",
    "gateway.database",
    "gateway.body",
    "gateway.http_headers",
    "gateway.examination",
    "gateway.betting",
    "gateway.negotiation",
    "gateway.frames",
    "gateway.error_page",
    "gateway.problems",
    "gateway.middleware",
    # its packages; what changes people writes events, so that it stands above the trail,
    "gateway.people",
    "gateway.audit",
    "gateway.people.actions",
    "gateway.people.admin",
    "gateway.people.management",
    "gateway.access",
    "gateway.usage",
    "gateway.predict",
    "gateway.monitor",
    "gateway.reviews",
    "gateway.web",
    "gateway.signin",
    "gateway.backup",
    # and what puts them together.
    "gateway.health",
    "gateway.api",
    "gateway.maintenance",
    "gateway.lifespan",
    "gateway.checks",
    "gateway.protocol",
    "gateway.apps",
    "gateway.settings",
    "gateway.urls",
    "gateway.public_demo_urls",
    "gateway.asgi",
    "gateway.management",
    "gateway.manage",
    "cluster.errors",
    "cluster.paths",
    "cluster.files",
    "cluster.signal_scope",
    "cluster.monitoring",
    "cluster.space",
    "cluster.capacity",
    "cluster.deploy",
    "cluster.launcher",
    "cluster.images",
    "cluster.compose",
    "cluster.cli",
    "cluster.kubernetes",
    "benchmarks",
)
# Of the pipeline, the gateway's host installs what these need: no PyTorch, no OpenCV.
OPEN_TO_GATEWAY = (
    "pipeline.text",
    "pipeline.errors",
    "pipeline.rounding",
    "pipeline.secret_files",
    "pipeline.tracing",
    "pipeline.http",
    "pipeline.schema",
    "pipeline.model_info",
    "pipeline.schemas",
    "pipeline.lesion_boxes",
    "pipeline.observation",
    "pipeline.comparison",
    "pipeline.image.gradability",
    "pipeline.image.inspect",
    "pipeline.image.limits",
    "pipeline.bundle.golden",  # needs pycocotools, which the gateway has for it
)
NEVER = {
    "pipeline": (
        "ray",
        "fastapi",
        "starlette",
        "django",
        "ninja",
        "serve_app",
        "gateway",
        "cluster",
    ),
    "serve_app": ("django", "ninja", "gateway", "cluster"),
    "gateway": ("ray", "fastapi", "torch", "cv2", "serve_app", "cluster"),
    "cluster": (),
}


def modules(package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), path


def imports(path: Path) -> Iterator[str]:
    """Names of modules that the file imports anywhere, also within functions.

    `from a import b` names `a.b`, which is the module or something in `a`.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def is_within(name: str, package: str) -> bool:
    return f"{name}.".startswith(f"{package}.")


def layer_of(name: str) -> int | None:
    """Return the place of the module's layer: of the longest name that holds it."""
    holding = [layer for layer in LAYERS if is_within(name, layer)]
    return LAYERS.index(max(holding, key=len)) if holding else None


@pytest.mark.parametrize("package", ["pipeline", "serve_app", "gateway", "cluster", "benchmarks"])
def test_imports_follow_layers(package):
    against = [
        f"{module} imports {name}"
        for module, path in modules(package)
        for name in imports(path)
        if (own := layer_of(module)) is not None
        if (other := layer_of(name)) is not None and other > own
    ]
    assert against == []


@pytest.mark.parametrize("package", ["pipeline", "gateway", "cluster"])
def test_each_module_has_layer(package):
    without = [module for module, _ in modules(package) if layer_of(module) is None]
    assert without == [package]


@pytest.mark.parametrize("package", NEVER)
def test_package_imports_no_forbidden_package(package):
    wrong = [
        f"{module} imports {name}"
        for module, path in modules(package)
        for name in imports(path)
        if any(is_within(name, other) for other in NEVER[package])
    ]
    assert wrong == []


def test_gateway_imports_only_light_modules_of_pipeline():
    heavy = [
        f"{module} imports {name}"
        for module, path in modules("gateway")
        for name in imports(path)
        if is_within(name, "pipeline")
        if not any(is_within(name, light) for light in OPEN_TO_GATEWAY)
    ]
    assert heavy == []


@pytest.mark.parametrize("package", NEVER)
def test_init_files_stay_empty(package):
    assert [path for path in (ROOT / package).rglob("__init__.py") if path.read_text()] == []


@pytest.mark.parametrize("package", NEVER)
def test_no_modules_import_each_other(package):
    known = dict(modules(package))
    graph = {
        module: {
            target
            for name in imports(path)
            for target in (name, name.rpartition(".")[0])
            if target in known and target != module
        }
        for module, path in known.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError
