import shutil
from functools import partial
from pathlib import Path

import pytest

from pipeline.engines.base import Engine
from pipeline.engines.portable.engine import PortableEngine
from pipeline.engines.portable.frequent import FrequentShapes
from pipeline.engines.portable.static.runner import StaticRunner
from pipeline.instances import Instances
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


@pytest.fixture(scope="module")
def weights(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The case's checkpoint in a folder of its own, beside which an engine may leave files."""
    scratch = tmp_path_factory.mktemp("weights")
    path = case.weights(scratch)
    return path if path.parent == scratch else Path(shutil.copy(path, scratch))


@pytest.fixture(scope="module")
def embeddings(case: Case, weights: Path) -> list[Instances]:
    """What the portable engine says of each image alone."""
    reference = PortableEngine.open(case.config, weights)
    inputs = case.inputs().values()
    return [reference.predict([model_input])[0] for _, model_input in inputs]


@pytest.fixture(scope="module", params=ENGINES)
def engine(case: Case, weights: Path, request: pytest.FixtureRequest) -> Engine:
    engine: Engine = request.param(case.config, weights)
    return engine


@pytest.fixture(scope="module")
def batch(case: Case, engine: Engine) -> list[Instances]:
    """What the engine says of all images at once."""
    return engine.predict([model_input for _, model_input in case.inputs().values()])


def test_single_image_matches_detectron2(case: Case, engine: Engine) -> None:
    for name, (source, model_input) in case.inputs().items():
        (instances,) = engine.predict([model_input])
        assert_expected(case.expected[name], source, model_input, instances)


def test_batch_of_all_images_matches_detectron2(case: Case, batch: list[Instances]) -> None:
    for (name, (source, model_input)), instances in zip(case.inputs().items(), batch, strict=True):
        assert_expected(case.expected[name], source, model_input, instances)


def test_embedding_is_the_same_in_each_engine(
    embeddings: list[Instances], batch: list[Instances]
) -> None:
    for instances, expected in zip(batch, embeddings, strict=True):
        assert_same_embedding(instances, expected)


def test_recorded_case_has_detections(case: Case) -> None:
    assert sum(len(result["scores"]) for result in case.expected.values()) >= 5
