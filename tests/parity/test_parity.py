import pytest

from pipeline.engines.openvino import OpenVinoEngine
from pipeline.engines.portable.engine import PortableEngine
from tests.devices import needs_gpu
from tests.parity.case import CASES, Case, assert_expected

ENGINES = [
    pytest.param((PortableEngine, "cpu"), id="portable"),
    pytest.param((OpenVinoEngine, "cpu"), id="openvino"),
    pytest.param((PortableEngine, "cuda"), id="portable-gpu", marks=needs_gpu),
]


@pytest.fixture(scope="module", params=CASES, ids=[case.folder.name for case in CASES])
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(scope="module", params=ENGINES)
def engine(
    case: Case, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> PortableEngine:
    kind, device = request.param
    weights = case.weights(tmp_path_factory.mktemp("weights"))
    engine: PortableEngine = kind.open(case.config, weights, device)
    return engine


def test_single_image_matches_detectron2(case: Case, engine: PortableEngine) -> None:
    for name, (source, model_input) in case.inputs().items():
        (instances,) = engine.predict([model_input])
        assert_expected(case.expected[name], source, model_input, instances)


def test_batch_of_all_images_matches_detectron2(case: Case, engine: PortableEngine) -> None:
    inputs = case.inputs()
    batch = engine.predict([model_input for _, model_input in inputs.values()])
    for (name, (source, model_input)), instances in zip(inputs.items(), batch, strict=True):
        assert_expected(case.expected[name], source, model_input, instances)


def test_recorded_case_has_detections(case: Case) -> None:
    assert sum(len(result["scores"]) for result in case.expected.values()) >= 5
