import pytest

from cluster.capacity.costs import read_costs
from cluster.errors import StackError
from cluster.paths import COSTS


def test_known_costs_are_read():
    costs = read_costs(COSTS)
    batches = costs.engine("portable-gpu").batches(8)
    assert batches.busy_s == pytest.approx(0.0244, rel=0.01)
    assert batches.seconds(1) == pytest.approx(0.038)
    assert costs.engine("openvino-float32").batches(2).busy_s == pytest.approx(1.77 / 2)


def test_unknown_engine_is_refused_with_known_ones():
    with pytest.raises(StackError, match="tensorrt: no such engine; known are openvino-float32"):
        read_costs(COSTS).engine("tensorrt")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("core_s: 1.77", "core_s: -1", "engines.openvino-float32.core_s: Input should be greater"),
        ("core_s: 1.77", "cores_s: 1.77", "engines.openvino-float32"),
        ("gateway_s: 0.008", "gateway_s: soon", "gateway_s: Input should be a valid number"),
        ("gateway_s: 0.008", "gateway_s: .inf", "gateway_s: Input should be a finite number"),
        ("engines:", "engines: [", "not a YAML file"),
    ],
)
def test_wrong_costs_are_refused_by_name(tmp_path, old, new, message):
    text = COSTS.read_text()
    assert old in text
    path = tmp_path / "costs.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(StackError, match=message) as caught:
        read_costs(path)
    assert caught.value.exit_status == 2


def test_missing_file_is_named(tmp_path):
    with pytest.raises(StackError, match=r"costs\.yaml: No such file"):
        read_costs(tmp_path / "costs.yaml")
