import pytest

from pipeline.engines.openvino import OpenVinoEngine
from pipeline.engines.portable.engine import PortableEngine
from tests.parity.case import CASES, Case, assert_expected


@pytest.fixture(scope="module", params=CASES, ids=[case.folder.name for case in CASES])
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(scope="module", params=[PortableEngine, OpenVinoEngine], ids=lambda e: e.name)
def engine(
    case: Case, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> PortableEngine:
    return request.param.open(case.config, case.weights(tmp_path_factory.mktemp("weights")))


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
