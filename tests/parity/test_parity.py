import shutil
from functools import partial
from pathlib import Path

import pytest

from pipeline.engines.base import Engine
from pipeline.engines.portable.engine import PortableEngine
from pipeline.engines.portable.frequent import FrequentShapes
from pipeline.engines.portable.static.runner import StaticRunner
from tests.devices import needs_gpu
from tests.models import open_compiled
from tests.parity.case import CASES, Case, assert_expected, assert_same_embedding


def open_static(config: Path, weights: Path) -> PortableEngine:
    """Return the portable engine of fixed shapes, which must not need the eager one."""
    engine = PortableEngine.open(config, weights, execution="static")
    assert isinstance(engine.run, StaticRunner)
    engine.run.eager = partial(pytest.fail, "a result is not settled")
    return engine


def open_frequent_graphs(config: Path, weights: Path) -> PortableEngine:
    """Return the portable engine as on a GPU, which uses a CUDA graph from a shape's second use."""
    engine = PortableEngine.open(config, weights, "cuda", execution="frequent-graphs")
    assert isinstance(engine.run, FrequentShapes)
    divisibility = engine.model.backbone.size_divisibility
    engine.run = FrequentShapes(engine.run.usual, engine.run.fast, divisibility, most=16, uses=1)
    return engine


ENGINES = [
    pytest.param(PortableEngine.open, id="portable"),
    pytest.param(open_static, id="portable-static"),
    pytest.param(open_compiled, id="openvino"),
    *(
        pytest.param(
            partial(PortableEngine.open, device="cuda", execution=execution),
            id=f"portable-gpu-{execution}",
            marks=needs_gpu,
        )
        for execution in ("eager", "static", "graphs")
    ),
    pytest.param(open_frequent_graphs, id="portable-gpu-frequent-graphs", marks=needs_gpu),
]


@pytest.fixture(scope="module", params=CASES, ids=[case.folder.name for case in CASES])
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(scope="module", params=ENGINES)
def engine(
    case: Case, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Engine:
    scratch = tmp_path_factory.mktemp("weights")
    weights = case.weights(scratch)
    if weights.parent != scratch:
        weights = Path(shutil.copy(weights, scratch))
    engine: Engine = request.param(case.config, weights)
    return engine


def test_single_image_matches_detectron2(case: Case, engine: Engine) -> None:
    for name, (source, model_input) in case.inputs().items():
        (instances,) = engine.predict([model_input])
        assert_expected(case.expected[name], source, model_input, instances)


def test_batch_of_all_images_matches_detectron2(case: Case, engine: Engine) -> None:
    inputs = case.inputs()
    batch = engine.predict([model_input for _, model_input in inputs.values()])
    for (name, (source, model_input)), instances in zip(inputs.items(), batch, strict=True):
        assert_expected(case.expected[name], source, model_input, instances)


def test_embedding_is_the_same_in_each_engine(case: Case, engine: Engine, tmp_path: Path) -> None:
    inputs = [model_input for _, model_input in case.inputs().values()]
    reference = PortableEngine.open(case.config, case.weights(tmp_path))
    for model_input, instances in zip(inputs, engine.predict(inputs), strict=True):
        (expected,) = reference.predict([model_input])
        assert_same_embedding(instances, expected)


def test_recorded_case_has_detections(case: Case) -> None:
    assert sum(len(result["scores"]) for result in case.expected.values()) >= 5
